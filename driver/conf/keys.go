package conf

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Kind is how a value is written and read.
type Kind uint8

// The kinds.
const (
	String Kind = iota
	Bool
	Int
	Float
	Bytes    // a size: 512m, 2g
	Duration // a time: 100ms, 3s
	Choice   // one of Key.Choices, in any case; read with Get in the case of the table
	Regexp
)

var kindNames = [...]string{"text", "true or false", "whole number", "number", "size", "time", "choice", "regular expression"}

func (k Kind) String() string { return kindNames[k] }

// Key describes a setting.
type Key struct {
	Group    string // heading in the documentation; on the first key of a group
	Name     string
	Kind     Kind
	Default  string   // empty for none
	Unit     string   // of sizes and times written as a number alone; empty means b and ms
	Min, Max string   // inclusive, in the notation of the kind; empty for no bound
	Choices  []string // of Choice
	Doc      string   // one sentence
}

var byName = func() map[string]*Key {
	m := make(map[string]*Key, len(Keys))
	for i := range Keys {
		m[Keys[i].Name] = &Keys[i]
	}
	return m
}()

// parse reads a value and holds it to the key's range.
func (k *Key) parse(text string) (any, error) {
	v, err := k.read(text)
	if err != nil {
		return nil, err
	}
	if k.below(v, k.Min) || k.above(v, k.Max) {
		return nil, fmt.Errorf("out of range: %s", k.Range())
	}
	return v, nil
}

func (k *Key) read(text string) (any, error) {
	switch k.Kind {
	case Bool:
		switch strings.ToLower(text) {
		case "true":
			return true, nil
		case "false":
			return false, nil
		}
		return nil, fmt.Errorf("write true or false")
	case Int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return nil, fmt.Errorf("write a whole number%s", k.rangeHint())
		}
		return n, nil
	case Float:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, fmt.Errorf("write a number%s", k.rangeHint())
		}
		return f, nil
	case Bytes:
		n, ok := parseUnit(text, or(k.Unit, "b"), byteUnits)
		if !ok {
			return nil, fmt.Errorf("write a whole number with b, k, m, g, t or p, such as 512m%s", k.rangeHint())
		}
		return n, nil
	case Duration:
		n, ok := parseUnit(text, or(k.Unit, "ms"), timeUnits)
		if !ok {
			return nil, fmt.Errorf("write a whole number with us, ms, s, m, min, h or d, such as 30s%s", k.rangeHint())
		}
		return time.Duration(n), nil
	case Choice:
		i := slices.IndexFunc(k.Choices, func(c string) bool { return strings.EqualFold(c, text) })
		if i < 0 {
			return nil, fmt.Errorf("write one of %s", strings.Join(k.Choices, ", "))
		}
		return k.Choices[i], nil
	case Regexp:
		re, err := regexp.Compile(text)
		if err != nil {
			return nil, fmt.Errorf("write a regular expression: %w", err)
		}
		return re, nil
	}
	return text, nil
}

func or(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

func (k *Key) below(v any, bound string) bool { return bound != "" && k.compare(v, bound) < 0 }
func (k *Key) above(v any, bound string) bool { return bound != "" && k.compare(v, bound) > 0 }

// compare orders a value and a bound of the table, both of the key's kind.
func (k *Key) compare(v any, bound string) int {
	b, err := k.read(bound)
	if err != nil {
		panic("conf: bound of " + k.Name + ": " + err.Error()) // a test reads all bounds
	}
	x, y := magnitude(v), magnitude(b)
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}

func magnitude(v any) float64 {
	switch v := v.(type) {
	case int:
		return float64(v)
	case int64:
		return float64(v)
	case time.Duration:
		return float64(v)
	case float64:
		return v
	}
	return 0
}

// Range says which values are allowed, for people; empty for all of the kind.
func (k *Key) Range() string {
	switch {
	case k.Kind == Choice:
		return strings.Join(k.Choices, ", ")
	case k.Min != "" && k.Max != "":
		return k.Min + " to " + k.Max
	case k.Min != "":
		return "at least " + k.Min
	case k.Max != "":
		return "at most " + k.Max
	}
	return ""
}

func (k *Key) rangeHint() string {
	if r := k.Range(); r != "" {
		return ", " + r
	}
	return ""
}
