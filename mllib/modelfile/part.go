package modelfile

import (
	"fmt"
	"strings"
)

// part is the header value that says what a part of a file is.
type part struct {
	Kind    string `json:"kind"`
	Version int    `json:"version"`
}

// partName is that of the header value; the values and arrays of the part have its name and a slash before theirs.
const partName = "part"

// SetPart puts a model into the file of a larger one, with all its values and arrays: a model that consists of others is one file as well.
func (f *File) SetPart(name string, model *File) {
	if name == "" || strings.Contains(name, "/") {
		f.fail(fmt.Errorf("model file: part name %q: use a text that is not empty and has no slash", name))
		return
	}
	if model.err != nil {
		f.fail(model.err)
	}
	f.Set(name+"/"+partName, part{model.kind, model.version})
	for k, v := range model.values {
		f.values[name+"/values/"+k] = v
	}
	for k, v := range model.arrays {
		f.arrays[name+"/"+k] = v
	}
}

// Part returns a model that SetPart put into the file, as if it had been loaded from a file of its own. It is an error if there is none of that name. The kind and version of
// the part are for [File.Check].
func (f *File) Part(name string) (*File, error) {
	var p part
	if err := f.Get(name+"/"+partName, &p); err != nil {
		return nil, err
	}
	model := New(p.Kind, p.Version)
	if model.err != nil {
		return nil, model.err
	}
	model.engine = f.engine
	for k, v := range f.values {
		if rest, ok := strings.CutPrefix(k, name+"/values/"); ok {
			model.values[rest] = v
		}
	}
	for k, v := range f.arrays {
		if rest, ok := strings.CutPrefix(k, name+"/"); ok {
			model.arrays[rest] = v
		}
	}
	return model, nil
}
