package pipeline

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// Param is a setting that [Grid] varies; [Vary] makes it.
type Param struct {
	name   string
	field  reflect.Value // pointer
	values []any
	set    func(i int)
	keep   func() (restore func())
}

// Vary varies a field of a stage, to which it has a pointer, as package flag has to its variables. The compiler holds the values to the field's type. The name is for the report.
//
//	lr := &pipeline.LogisticRegression{Label: "bought"}
//	pipeline.Vary("regParam", &lr.Settings.RegParam, 0, 0.01, 0.1)
func Vary[V any](name string, field *V, values ...V) Param {
	p := Param{name: name, field: reflect.ValueOf(field)}
	for _, v := range values {
		p.values = append(p.values, v)
	}
	p.set = func(i int) { *field = values[i] }
	p.keep = func() func() {
		old := *field
		return func() { *field = old }
	}
	return p
}

// Setting is the value of a Param.
type Setting struct {
	Name  string `json:"name"`
	Value any    `json:"value"`
}

// Point is a pipeline of a grid, with the settings that make it differ from the others.
type Point struct {
	Settings []Setting
	Pipeline *Pipeline
}

// String lists the settings.
func (p Point) String() string {
	if len(p.Settings) == 0 {
		return "the pipeline as it is"
	}
	all := make([]string, len(p.Settings))
	for i, s := range p.Settings {
		all[i] = fmt.Sprintf("%s=%v", s.Name, s.Value)
	}
	return strings.Join(all, ", ")
}

// Grid makes a pipeline, as [New] does, for each combination of the values of some settings, the last one varying fastest: Spark's ParamGridBuilder. The stages have their own values again when it returns. A field that is of none of the stages,
// and a combination that New refuses, are errors that name it.
func Grid(schema Schema, stages []Stage, params ...Param) ([]Point, error) {
	names := map[string]bool{}
	for i, p := range params {
		switch {
		case p.set == nil:
			return nil, fmt.Errorf("grid: parameter %d is empty: make it with Vary", i+1)
		case len(p.values) == 0:
			return nil, fmt.Errorf("grid: parameter %q has no values: give some to Vary", p.name)
		case names[p.name]:
			return nil, fmt.Errorf("grid: there are two parameters %q: name one otherwise", p.name)
		case !within(stages, p.field):
			return nil, fmt.Errorf("grid: parameter %q is a field of none of the stages: give Vary a pointer into one of them", p.name)
		}
		for _, other := range params[:i] {
			if p.field.Pointer() == other.field.Pointer() && p.field.Type() == other.field.Type() {
				return nil, fmt.Errorf("grid: parameters %q and %q are the same field: leave one out", other.name, p.name)
			}
		}
		names[p.name] = true
		defer p.keep()()
	}
	at := make([]int, len(params))
	var points []Point
	for {
		point := Point{}
		for i, p := range params {
			p.set(at[i])
			point.Settings = append(point.Settings, Setting{p.name, p.values[at[i]]})
		}
		var err error
		if point.Pipeline, err = New(schema, stages...); err != nil {
			return nil, fmt.Errorf("grid: %v: %w", point, err)
		}
		points = append(points, point)
		i := len(params) - 1
		for ; i >= 0; i-- {
			if at[i]++; at[i] < len(params[i].values) {
				break
			}
			at[i] = 0
		}
		if i < 0 {
			return points, nil
		}
	}
}

// within tells whether a pointer points into one of the stages.
func within(stages []Stage, field reflect.Value) bool {
	for _, s := range stages {
		v := reflect.ValueOf(s)
		if v.Kind() != reflect.Pointer || v.IsNil() || field.IsNil() {
			continue
		}
		if from := v.Pointer(); field.Pointer() >= from && field.Pointer() < from+v.Type().Elem().Size() {
			return true
		}
	}
	return false
}

// sameTarget is what all points train to predict. Raw tells that its labels are a column of the rows.
func sameTarget(points []Point) (first target, raw bool, err error) {
	if len(points) == 0 {
		return first, false, errors.New("there is no point to try: make some with Grid")
	}
	raw = true
	for i, p := range points {
		if p.Pipeline == nil {
			return first, false, fmt.Errorf("point %d has no pipeline: make points with Grid", i+1)
		}
		f, err := p.Pipeline.fitting()
		if err != nil {
			return first, false, err
		}
		raw = raw && f.label >= 0 && f.label < len(f.source)
		c := f.estimator.columns()
		if c.checkpoints != "" {
			return first, false, fmt.Errorf("%v saves checkpoints in %s: the trainings of a search would take those of others for theirs: leave CheckpointDir out", p, c.checkpoints)
		}
		c.features = ""
		if i == 0 {
			first = c
		} else if c != first {
			return first, false, fmt.Errorf("%v trains on label %q and weight %q, %v on %q and %q: what points predict must be the same to be compared", p, c.label, c.weight, points[0], first.label, first.weight)
		}
	}
	return first, raw, nil
}
