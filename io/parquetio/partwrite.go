package parquetio

import (
	"context"
	"fmt"
	"path"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spark-go/spark-go/io/filesys"
)

// partitionField is a field of the row type whose values are directories.
type partitionField struct {
	name   string // of the column
	goName string
	index  int
}

// partitionFields finds the fields that WriteOptions.PartitionBy names, by their column's name.
func partitionFields(t reflect.Type, names []string) ([]partitionField, error) {
	if len(names) == 0 || t.Kind() != reflect.Struct {
		return nil, nil
	}
	var columns []string
	var all []partitionField
	for i := range t.NumField() {
		f := t.Field(i)
		tag := tagOf(f)
		if !f.IsExported() || tag.skip || f.Anonymous {
			continue
		}
		name := tag.name
		if name == "" {
			name = f.Name
		}
		columns = append(columns, name)
		all = append(all, partitionField{name, f.Name, i})
	}
	var out []partitionField
	for _, name := range names {
		i, err := match(name, columns)
		if err != nil {
			return nil, fmt.Errorf("partition by %q: %w", name, err)
		}
		if i < 0 {
			return nil, fmt.Errorf("partition by %q: %v has no such field: it has: %s", name, t, strings.Join(columns, ", "))
		}
		if slices.Contains(out, all[i]) {
			return nil, fmt.Errorf("partition by %q: it is named twice", name)
		}
		f := t.Field(all[i].index).Type
		if f.Kind() == reflect.Pointer {
			f = f.Elem()
		}
		switch k := f.Kind(); {
		case f == timeType, k == reflect.String, k == reflect.Bool, k >= reflect.Int && k <= reflect.Uint64:
		default:
			return nil, fmt.Errorf("partition by %q: a field of type %v makes no directories: use a string, integer, bool or time.Time", name, f)
		}
		out = append(out, all[i])
	}
	if len(out) == len(columns) {
		return nil, fmt.Errorf("partition by all fields of %v: at least one must be left for the files", t)
	}
	return out, nil
}

// directory is the text of a value in a path.
func directory(v reflect.Value) string {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return hiveNull
		}
		v = v.Elem()
	}
	if x, ok := v.Interface().(time.Time); ok {
		if x = x.UTC(); x.Equal(x.Truncate(24 * time.Hour)) {
			return x.Format(time.DateOnly)
		}
		return escape(x.Format("2006-01-02 15:04:05.999999999"))
	}
	switch {
	case v.Kind() == reflect.Bool:
		return strconv.FormatBool(v.Bool())
	case v.CanInt():
		return strconv.FormatInt(v.Int(), 10)
	case v.CanUint():
		return strconv.FormatUint(v.Uint(), 10)
	}
	return escape(v.String())
}

// taskWriter writes what one task makes: one file, or one for each directory.
type taskWriter[T any] struct {
	ctx       context.Context
	out       filesys.Output
	partition int
	options   WriteOptions
	fields    []partitionField

	open  map[string]*openPart[T]
	order []string       // directories of open, least recently begun first
	made  map[string]int // files begun in each directory
	done  []filesys.TaskFile
}

// openPart is a file being written. Rows are handed on some at a time.
type openPart[T any] struct {
	w    *PartWriter[T]
	rows []T
}

const (
	maxOpenParts = 50  // files that a task writes at the same time
	pendingRows  = 256 // of each
)

func newTaskWriter[T any](ctx context.Context, out filesys.Output, partition int, o WriteOptions) (*taskWriter[T], error) {
	fields, err := partitionFields(reflect.TypeFor[T](), o.PartitionBy)
	w := &taskWriter[T]{ctx: ctx, out: out, partition: partition, options: o, fields: fields, open: map[string]*openPart[T]{}, made: map[string]int{}}
	if err == nil && len(fields) == 0 {
		_, err = w.part("") // also a partition without rows has its file
	}
	return w, err
}

// part returns the file of a directory. With too many open it ends the oldest; that directory may get another one later.
func (w *taskWriter[T]) part(dir string) (*openPart[T], error) {
	if p := w.open[dir]; p != nil {
		return p, nil
	}
	if len(w.order) == maxOpenParts {
		if err := w.end(w.order[0]); err != nil {
			return nil, err
		}
	}
	extension := ".parquet"
	if n := w.made[dir]; n > 0 {
		extension = fmt.Sprintf(".%d.parquet", n)
	}
	f, err := newPartWriter[T](w.ctx, w.out, w.partition, dir, extension, w.options)
	if err != nil {
		return nil, err
	}
	w.made[dir]++
	p := &openPart[T]{w: f}
	w.open[dir] = p
	w.order = append(w.order, dir)
	return p, nil
}

func (w *taskWriter[T]) write(rows []T) error {
	if len(w.fields) == 0 {
		return w.open[""].w.Write(rows)
	}
	values := reflect.ValueOf(rows)
	elements := make([]string, len(w.fields))
	for i := range rows {
		row := values.Index(i)
		for j, f := range w.fields {
			elements[j] = escape(f.name) + "=" + directory(row.Field(f.index))
		}
		p, err := w.part(path.Join(elements...))
		if err != nil {
			return err
		}
		if p.rows = append(p.rows, rows[i]); len(p.rows) == pendingRows {
			if err := p.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *openPart[T]) flush() error {
	err := p.w.Write(p.rows)
	clear(p.rows)
	p.rows = p.rows[:0]
	return err
}

func (w *taskWriter[T]) end(dir string) error {
	p := w.open[dir]
	if err := p.flush(); err != nil {
		return err
	}
	f, err := p.w.Close()
	if err != nil {
		return err
	}
	delete(w.open, dir)
	w.order = slices.DeleteFunc(w.order, func(d string) bool { return d == dir })
	w.done = append(w.done, f)
	return nil
}

func (w *taskWriter[T]) close() ([]filesys.TaskFile, error) {
	for len(w.order) > 0 {
		if err := w.end(w.order[0]); err != nil {
			return nil, err
		}
	}
	return w.done, nil
}

func (w *taskWriter[T]) abort() {
	for _, dir := range w.order {
		_ = w.open[dir].w.Abort() // what fails here was going to be dropped
	}
}
