// Package modelfile is the file that every trained model is saved as: one portable, versioned, checksummed file on any file system,
// which loads without an engine.
//
// A file holds a kind ("recommendation.ALS") with the version of that kind's content, named header values (settings, schema, metrics,
// seed), which are written as JSON, and named arrays of numbers or texts. A model puts what is small and meant for people into the header
// and what is large, or may be NaN or infinite, into arrays:
//
//	f := modelfile.New("classification.LogisticRegression", 1)
//	f.Set("settings", settings)
//	modelfile.SetArray(f, "coefficients", m.Coefficients)
//	err := f.Save(ctx, uri)
//
//	f, err := modelfile.Load(ctx, uri, "classification.LogisticRegression", 1)
//	err = f.Get("settings", &settings)
//	coefficients, err := modelfile.GetArray[float64](f, "coefficients")
//
// # The format
//
// All numbers are little endian.
//
//	offset  bytes
//	0       8     "sgmodel\n"
//	8       4     format version, 1
//	12      4     length h of the header
//	16      8     length of the whole file
//	24      h     header: JSON with kind, version, engine, values and the list of arrays (name, type, count, bytes)
//	24+h    …     the arrays in that order, each followed by zeros up to a multiple of 8
//	end-32  32    SHA-256 of everything before
//
// Texts are their lengths (4 bytes each), then their bytes.
//
// # Invariants
//
//   - Equal content gives equal bytes: names are sorted, and nothing depends on time or place. The engine's version is in the file but not
//     in [File.Digest], so that the digest names the model and not the build that trained it.
//   - A file that is damaged, cut short, of another kind or newer than the program is refused with the reason; the checksum is compared
//     before anything is handed out, and no length in a file is believed beyond the file's size.
package modelfile

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"sync"

	"github.com/spark-go/spark-go/io/filesys"
)

// Format is the newest version of the file format that this package writes and reads.
const Format = 1

const (
	magic      = "sgmodel\n"
	prefixSize = 24
	mostHeader = 64 << 20
)

// File is the content of a model's file. It is not safe for concurrent use while values are set.
type File struct {
	kind    string
	version int
	engine  string
	values  map[string]json.RawMessage
	arrays  map[string]array
	err     error // of the first Set or SetArray that went wrong
}

// New starts the file of a model. Kind is the model's package and algorithm, such as "recommendation.ALS"; version counts the changes
// to what the kind's files hold, from 1.
func New(kind string, version int) *File {
	f := &File{kind: kind, version: version, engine: engineVersion(), values: map[string]json.RawMessage{}, arrays: map[string]array{}}
	if kind == "" || version < 1 {
		f.err = fmt.Errorf("model file: kind %q, version %d: a kind has a name and a version of at least 1", kind, version)
	}
	return f
}

// Check refuses a file of another kind, and one whose content is newer than version newest of the kind, as Load does.
func (f *File) Check(kind string, newest int) error {
	switch {
	case f.kind != kind:
		return fmt.Errorf("it holds a %s, not a %s", f.kind, kind)
	case f.version > newest:
		return fmt.Errorf("it was written by release %s as version %d of %s, this program reads up to version %d: use a newer release", f.engine, f.version, f.kind, newest)
	}
	return nil
}

// Kind is what the model is, such as "recommendation.ALS".
func (f *File) Kind() string { return f.kind }

// Version is the version of the kind's content.
func (f *File) Version() int { return f.version }

// Engine is the version of the module that wrote the file.
func (f *File) Engine() string { return f.engine }

// Set puts a value into the header, as package json encodes it. By convention the settings of the trainer are "settings", its seed "seed",
// names and types of columns "schema", and what was measured while training "metrics". A value that JSON cannot hold, such as a NaN, is an
// error of the next Save, Write or Digest.
func (f *File) Set(name string, value any) {
	b, err := json.Marshal(value)
	if err != nil {
		f.fail(fmt.Errorf("model file: header value %q: %w: put numbers that may be NaN or infinite into an array", name, err))
		return
	}
	f.values[name] = b
}

// Get decodes a header value into what the pointer points to. It is an error if the file has none of that name.
func (f *File) Get(name string, into any) error {
	b, ok := f.values[name]
	if !ok {
		return fmt.Errorf("model file of kind %s: there is no header value %q: it has %s", f.kind, name, strings.Join(sortedNames(f.values), ", "))
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("model file of kind %s: header value %q: %w", f.kind, name, err)
	}
	return nil
}

// Has tells whether there is a header value of that name.
func (f *File) Has(name string) bool { return f.values[name] != nil }

func (f *File) fail(err error) {
	if f.err == nil {
		f.err = err
	}
}

// Digest is the SHA-256, in hexadecimal, of the file's bytes before the final checksum with an empty engine version. It is the same for the same model
// whichever build of the program trained it.
func (f *File) Digest() (string, error) {
	same := *f
	same.engine = ""
	h := sha256.New()
	if err := same.body(h); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// Save writes the file. It appears under its name whole or not at all.
func (f *File) Save(ctx context.Context, uri string) error {
	if f.err != nil {
		return fmt.Errorf("save model %s: %w", uri, f.err)
	}
	w, err := filesys.Create(ctx, uri)
	if err != nil {
		return fmt.Errorf("save model %s: %w", uri, err)
	}
	if err := f.Write(w); err != nil {
		return errors.Join(fmt.Errorf("save model %s: %w", uri, err), w.Abort())
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("save model %s: %w", uri, err)
	}
	return nil
}

// CanSave tells whether a model could be saved under a name, before the hours of training.
func CanSave(ctx context.Context, uri string) error {
	w, err := filesys.Create(ctx, uri)
	if err == nil {
		err = w.Abort()
	}
	if err != nil {
		return fmt.Errorf("save model %s: %w", uri, err)
	}
	return nil
}

// Load reads a file that Save wrote. It refuses a file of another kind, and one whose content is newer than version newest of the kind, the
// newest that the caller understands. An empty kind takes any, of any version.
func Load(ctx context.Context, uri, kind string, newest int) (*File, error) {
	in, err := filesys.Open(ctx, uri)
	if err != nil {
		return nil, fmt.Errorf("load model %s: %w", uri, err)
	}
	defer in.Close()
	f, err := Read(in, in.Size(), kind, newest)
	if err != nil {
		return nil, fmt.Errorf("load model %s: %w", uri, err)
	}
	return f, nil
}

// LoadAs reads a file that Save wrote and makes a model of it: what the Load of a model's package does.
func LoadAs[M any](ctx context.Context, uri, kind string, newest int, of func(*File) (M, error)) (m M, err error) {
	f, err := Load(ctx, uri, kind, newest)
	if err != nil {
		return m, err
	}
	if m, err = of(f); err != nil {
		err = fmt.Errorf("load model %s: %w", uri, err)
	}
	return m, err
}

// header is the JSON of a file.
type header struct {
	Kind    string                     `json:"kind"`
	Version int                        `json:"version"`
	Engine  string                     `json:"engine"`
	Values  map[string]json.RawMessage `json:"values"`
	Arrays  []arrayInfo                `json:"arrays"`
}

type arrayInfo struct {
	Name  string `json:"name"`
	Type  string `json:"type"`
	Count int64  `json:"count"`
	Bytes int64  `json:"bytes"`
}

// encodeHeader encodes the header; package json sorts the names of maps.
func (f *File) encodeHeader() ([]byte, []array, error) {
	h := header{Kind: f.kind, Version: f.version, Engine: f.engine, Values: f.values, Arrays: []arrayInfo{}}
	var arrays []array
	for _, name := range sortedNames(f.arrays) {
		a := f.arrays[name]
		h.Arrays = append(h.Arrays, arrayInfo{name, a.typ(), int64(a.len()), a.size()})
		arrays = append(arrays, a)
	}
	b, err := json.Marshal(h)
	if err == nil && len(b) > mostHeader {
		err = fmt.Errorf("the header has %d bytes, more than %d: put what is large into arrays", len(b), mostHeader)
	}
	// Spaces at its end let the first array begin at a multiple of 8.
	return append(b, bytes.Repeat([]byte(" "), int(padding(int64(len(b)))))...), arrays, err
}

// padding is how many bytes follow n up to a multiple of 8.
func padding(n int64) int64 { return -n & 7 }

func sortedNames[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// engineVersion is the version of this module, as the build of the program recorded it.
var engineVersion = sync.OnceValue(func() string {
	const path = "github.com/spark-go/spark-go"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	version := ""
	if info.Main.Path == path {
		version = info.Main.Version
	}
	for _, m := range info.Deps {
		if m.Path == path {
			version = m.Version
		}
	}
	if version == "" {
		return "(devel)"
	}
	return version
})
