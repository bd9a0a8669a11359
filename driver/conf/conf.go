// Package conf holds the settings of an application under Spark's names.
//
// Every key that may be set stands in one table, with its kind, default, range and meaning; a key that is not in it is refused
// with the nearest one that is, and a key of Spark's whose feature does not exist here is refused with the reason, so that no
// setting is silently without effect.
//
// A value comes from code, from a flag of spark-go submit, from a properties file, or from the table, and goes before the others
// in this order, whichever was set first. Values are checked when they are set, with an error that names the key, the
// value, where it came from and what is allowed; reading a setting cannot fail. Where a value came from is kept with it.
//
// A Conf is not safe for concurrent writing.
package conf

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Source says how a value came to be, and so what it goes before. A greater source wins.
type Source uint8

// The sources, from weak to strong.
const (
	Default Source = iota // the table
	File                  // a properties file
	Flag                  // spark-go submit --conf and its other flags
	Code                  // the program itself
)

var sourceNames = [...]string{"the default", "the properties file", "a flag", "code"}

func (s Source) String() string { return sourceNames[s] }

// Setting is a value and where it came from.
type Setting struct {
	Key    string
	Value  string
	Source Source
	From   string // the flag, or the file and line: "--executor-memory", "prod.conf:12"; may be empty
}

// origin describes where a value came from, for errors.
func (s Setting) origin() string {
	if s.From != "" {
		return s.From
	}
	return s.Source.String()
}

// Conf is a set of settings over the defaults. The zero value has defaults only.
type Conf struct {
	values map[string]Setting
}

// New makes a Conf with defaults only.
func New() *Conf { return &Conf{} }

// Set sets a key from code. It goes before what flags and files say.
func (c *Conf) Set(key, value string) error {
	return c.Put(Setting{Key: key, Value: value, Source: Code})
}

// Put sets a key from the setting's source, unless a stronger source has set it; of two values from the same source the later
// wins. Unknown keys and wrong values are refused, also where they would not win.
func (c *Conf) Put(s Setting) error {
	key, err := find(s.Key)
	if err != nil {
		return fmt.Errorf("set %s (from %s): %w", s.Key, s.origin(), err)
	}
	s.Value = strings.TrimSpace(s.Value)
	v, err := key.parse(s.Value)
	if err != nil {
		return fmt.Errorf("set %s to %q (from %s): %w", s.Key, redact(defaultRedaction, s.Key, s.Value), s.origin(), err)
	}
	if choice, ok := v.(string); ok {
		s.Value = choice // in the case of the table
	}
	if old, ok := c.values[s.Key]; ok && old.Source > s.Source {
		return nil
	}
	if c.values == nil {
		c.values = map[string]Setting{}
	}
	c.values[s.Key] = s
	return nil
}

// PutFile sets what a properties file says. All its mistakes are reported together.
func (c *Conf) PutFile(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read properties file: %w", err)
	}
	properties, err := ParseProperties(string(text))
	if err != nil {
		return fmt.Errorf("read properties file %s: %w", path, err)
	}
	var errs []error
	for _, p := range properties {
		errs = append(errs, c.Put(Setting{Key: p.Key, Value: p.Value, Source: File, From: fmt.Sprintf("%s:%d", path, p.Line)}))
	}
	return errors.Join(errs...)
}

// Check holds settings against each other, once all are set.
func (c *Conf) Check() error {
	beat, timeout := c.Duration("spark.executor.heartbeatInterval"), c.Duration("spark.network.timeout")
	if beat >= timeout {
		return fmt.Errorf("spark.executor.heartbeatInterval is %v (from %s) and must be less than spark.network.timeout, which is %v (from %s)",
			beat, c.Lookup("spark.executor.heartbeatInterval").origin(), timeout, c.Lookup("spark.network.timeout").origin())
	}
	return nil
}

// Variable is the environment variable in which settings travel to the program that spark-go submit starts, and from
// there to executors.
const Variable = "SPARK_GO_CONF"

// Environ is the environment entry that Load reads in another process.
func (c *Conf) Environ() (string, error) {
	text, err := json.Marshal(c.Settings())
	if err != nil {
		return "", fmt.Errorf("encode settings: %w", err)
	}
	return Variable + "=" + string(text), nil
}

// Load makes a Conf with the settings that spark-go submit passed on, each with its source; with defaults only where nothing
// was passed on.
func Load() (*Conf, error) {
	c := New()
	text := os.Getenv(Variable)
	if text == "" {
		return c, nil
	}
	var settings []Setting
	if err := json.Unmarshal([]byte(text), &settings); err != nil {
		return nil, fmt.Errorf("read settings from the environment variable %s: %w: it is written by spark-go submit and not meant for anyone else", Variable, err)
	}
	var errs []error
	for _, s := range settings {
		if s.Source > Code {
			errs = append(errs, fmt.Errorf("read settings from the environment variable %s: %s comes from nowhere", Variable, s.Key))
			continue
		}
		errs = append(errs, c.Put(s))
	}
	return c, errors.Join(errs...)
}

// Lookup is the value of a key and where it came from. Unset and unknown keys have their default, or no value.
func (c *Conf) Lookup(key string) Setting {
	if s, ok := c.values[key]; ok {
		return s
	}
	if k, ok := byName[key]; ok {
		return Setting{Key: key, Value: k.Default}
	}
	return Setting{Key: key}
}

// Get is the value of a key as text: its default if it was not set, empty if it has none or is unknown.
func (c *Conf) Get(key string) string { return c.Lookup(key).Value }

// IsSet says whether a key has another value than its default by anyone's wish.
func (c *Conf) IsSet(key string) bool {
	_, ok := c.values[key]
	return ok
}

// Settings lists what was set, by key.
func (c *Conf) Settings() []Setting {
	list := make([]Setting, 0, len(c.values))
	for _, key := range slices.Sorted(maps.Keys(c.values)) {
		list = append(list, c.values[key])
	}
	return list
}

// WithPrefix maps the rest of each set key that begins with a prefix to its value, such as spark.executorEnv. to variables.
func (c *Conf) WithPrefix(prefix string) map[string]string {
	found := map[string]string{}
	for key, s := range c.values {
		if rest, ok := strings.CutPrefix(key, prefix); ok {
			found[rest] = s.Value
		}
	}
	return found
}

// typed reads a key of the table as what its kind says. Keys of another kind or outside the table are mistakes of the program
// that asks, never of its user, and panic.
func typed[T any](c *Conf, key string, kinds ...Kind) T {
	k, ok := byName[key]
	if !ok || !slices.Contains(kinds, k.Kind) {
		panic(fmt.Sprintf("conf: %s is read as one of %v and is no such key", key, kinds))
	}
	var zero T
	text := c.Get(key)
	if text == "" {
		return zero
	}
	v, err := k.parse(text)
	if err != nil { // Put has parsed it, and a test the defaults
		panic("conf: " + err.Error())
	}
	return v.(T)
}

// Bool reads a switch; false if it is unset and has no default.
func (c *Conf) Bool(key string) bool { return typed[bool](c, key, Bool) }

// Int reads a whole number; 0 if it is unset and has no default.
func (c *Conf) Int(key string) int { return typed[int](c, key, Int) }

// Float reads a number; 0 if it is unset and has no default.
func (c *Conf) Float(key string) float64 { return typed[float64](c, key, Float) }

// Bytes reads a size in bytes; 0 if it is unset and has no default.
func (c *Conf) Bytes(key string) int64 { return typed[int64](c, key, Bytes) }

// Duration reads a time; 0 if it is unset and has no default.
func (c *Conf) Duration(key string) time.Duration { return typed[time.Duration](c, key, Duration) }

// find is the table's entry for a key that may be set.
func find(key string) (*Key, error) {
	if k, ok := byName[key]; ok {
		return k, nil
	}
	for i := range prefixes {
		if len(key) > len(prefixes[i].Name) && strings.HasPrefix(key, prefixes[i].Name) {
			return &prefixes[i], nil
		}
	}
	for _, a := range absent {
		if key == a.name || strings.HasSuffix(a.name, ".") && strings.HasPrefix(key, a.name) {
			return nil, fmt.Errorf("spark-go has no such setting: %s", a.reason)
		}
	}
	if near := nearest(key); near != "" {
		return nil, fmt.Errorf("no such setting; the nearest is %s", near)
	}
	return nil, errors.New("no such setting: docs/configuration.md lists all")
}

// nearest is the known key that takes the fewest edits, or none if all are far.
func nearest(key string) string {
	names := make([]string, len(Keys))
	for i := range Keys {
		names[i] = Keys[i].Name
	}
	return Nearest(key, names)
}

// Nearest is the name that takes the fewest edits to come from word, for messages about misspelled ones; empty if all are far.
func Nearest(word string, names []string) string {
	best, distance := "", max(len(word)/3, 2)+1
	for _, name := range names {
		if d := edits(word, name); d < distance {
			best, distance = name, d
		}
	}
	return best
}

// edits is the Levenshtein distance of two keys, without regard to case.
func edits(a, b string) int {
	a, b = strings.ToLower(a), strings.ToLower(b)
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

var byteUnits = map[string]int64{
	"b": 1, "k": 1 << 10, "kb": 1 << 10, "m": 1 << 20, "mb": 1 << 20, "g": 1 << 30, "gb": 1 << 30, "t": 1 << 40, "tb": 1 << 40, "p": 1 << 50, "pb": 1 << 50,
}

var timeUnits = map[string]int64{
	"us": int64(time.Microsecond), "ms": int64(time.Millisecond), "s": int64(time.Second), "m": int64(time.Minute), "min": int64(time.Minute),
	"h": int64(time.Hour), "d": 24 * int64(time.Hour),
}

// ParseBytes reads a size such as 512m or 2g, in units of 1024; a number alone is bytes.
func ParseBytes(text string) (int64, error) {
	n, ok := parseUnit(text, "b", byteUnits)
	if !ok {
		return 0, fmt.Errorf("size %q: write a whole number with b, k, m, g, t or p, such as 512m", text)
	}
	return n, nil
}

// ParseDuration reads a time such as 100ms, 3s, 5min or 1h; a number alone is milliseconds.
func ParseDuration(text string) (time.Duration, error) {
	n, ok := parseUnit(text, "ms", timeUnits)
	if !ok {
		return 0, fmt.Errorf("time %q: write a whole number with us, ms, s, m, min, h or d, such as 30s", text)
	}
	return time.Duration(n), nil
}

// parseUnit reads a whole number and a unit, which may be left out.
func parseUnit(text, unit string, units map[string]int64) (int64, bool) {
	text = strings.ToLower(strings.TrimSpace(text))
	end := strings.IndexFunc(text, func(r rune) bool { return (r < '0' || r > '9') && r != '-' })
	if end < 0 {
		end = len(text)
	} else {
		unit = strings.TrimSpace(text[end:])
	}
	n, err := strconv.ParseInt(text[:end], 10, 64)
	scale, ok := units[unit]
	if err != nil || !ok || n*scale/scale != n {
		return 0, false
	}
	return n * scale, true
}
