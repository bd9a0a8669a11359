package closure

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// maxDepth bounds how deep values may be nested in each other through pointers,
// interfaces, slices, maps and functions.
const maxDepth = 10_000

// pathError is an error at a place inside a value. The path is collected while
// the error returns, innermost segment first.
type pathError struct {
	path []string
	err  error
}

func (e *pathError) Unwrap() error { return e.err }

func (e *pathError) Error() string {
	path := slices.Clone(e.path)
	slices.Reverse(path)
	if len(path) > 24 {
		path = slices.Concat(path[:16], []string{"…"}, path[len(path)-4:])
	}
	s := strings.TrimPrefix(strings.Join(path, ""), ".")
	if _, ok := errors.AsType[*refusedError](e.err); ok {
		return s + " " + e.err.Error()
	}
	return s + ": " + e.err.Error()
}

// at adds a path segment to an error that returns through it.
func at(err error, segment string) error {
	if p, ok := err.(*pathError); ok { //nolint:errorlint // only one that was not wrapped since grows
		p.path = append(p.path, segment)
		return p
	}
	return &pathError{path: []string{segment}, err: err}
}

// refusedError says that a value of some type cannot travel.
type refusedError struct {
	t   reflect.Type
	why string
}

func refused(t reflect.Type, why string) error { return &refusedError{t, why} }

func (e *refusedError) Error() string { return fmt.Sprintf("(%s) cannot travel: %s", e.t, e.why) }

var (
	errDepth = fmt.Errorf("it is nested more than %d levels deep: flatten it, and look for a value that contains itself", maxDepth)
	errCycle = errors.New("it contains itself: cycles cannot travel: refer to the elements by index")
)
