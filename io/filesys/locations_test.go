package filesys

import (
	"context"
	"errors"
	"reflect"
	"testing"
)

// located is a file system whose files lie in blocks of 10 bytes: block i on hosts named by the path's letters at i and i+1.
type located struct{ FS }

func (located) Locations(_ context.Context, path string, offset, length int64) ([]Location, error) {
	if path == "/lost" {
		return nil, errors.New("nobody knows")
	}
	var blocks []Location
	for o := offset / 10 * 10; o < offset+length; o += 10 {
		i := int(o/10) + 1
		blocks = append(blocks, Location{Offset: o, Length: 10, Hosts: []string{path[i : i+1], path[i+1 : i+2]}})
	}
	return blocks, nil
}

func TestPreferredHosts(t *testing.T) {
	Register("located", func(context.Context, string) (FS, error) { return located{NewMem("located")}, nil })
	t.Cleanup(func() {
		registry.Lock()
		defer registry.Unlock()
		delete(registry.openers, "located")
	})
	got := PreferredHosts(t.Context(), [][]Range{
		{{URI: "located:///abcdef", Offset: 0, Length: 10}},                                                      // a, b
		{{URI: "located:///abcdef", Offset: 5, Length: 20}},                                                      // a 5, b 15, c 15, d 5
		{{URI: "mem:///x", Offset: 0, Length: 10}},                                                               // does not know
		{{URI: "located:///lost", Offset: 0, Length: 10}},                                                        // fails
		{{URI: "located:///zzcdef", Offset: 25, Length: 10}, {URI: "located:///abcdef", Offset: 30, Length: 10}}, // d 20, e 15, c 5
		nil,
	})
	want := [][]string{{"a", "b"}, {"b", "c", "a"}, nil, nil, {"d", "e", "c"}, nil}
	for i := range want {
		if len(got[i]) == 0 && len(want[i]) == 0 {
			continue
		}
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Errorf("task %d: %v, want %v", i, got[i], want[i])
		}
	}
	if l, err := Locations(t.Context(), "mem:///x", 0, 1); l != nil || err != nil {
		t.Errorf("a file system that does not know: %v, %v", l, err)
	}
}
