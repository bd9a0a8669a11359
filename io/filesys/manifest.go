package filesys

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

const manifestFormat = "spark-go output"

// Manifest is what the file _SUCCESS holds, as JSON: the files of the directory, sorted by name.
type Manifest struct {
	Format  string         `json:"format"` // "spark-go output"
	Version int            `json:"version"`
	Job     string         `json:"job"` // that wrote last
	Mode    SaveMode       `json:"mode"`
	Rows    int64          `json:"rows"`  // of the files whose rows are known
	Bytes   int64          `json:"bytes"` // of all files
	Files   []ManifestFile `json:"files"`
}

// ManifestFile is one file of a Manifest.
type ManifestFile struct {
	Name string `json:"name"` // below the directory
	// Rows is nil for files that others wrote and a job appended to.
	Rows  *int64 `json:"rows,omitempty"`
	Bytes int64  `json:"bytes"`
	// Checksum is "crc32c:" with the CRC-32C (Castagnoli) of the bytes in hexadecimal; empty if it is not known.
	Checksum string `json:"checksum,omitempty"`
}

// ErrNoManifest is what the error of ReadManifest wraps when _SUCCESS holds no manifest, as those of other programs.
var ErrNoManifest = errors.New("the file holds no manifest of spark-go")

// ReadManifest reads the manifest of an output directory. A missing one is an error for which errors.Is(err, fs.ErrNotExist) holds.
func ReadManifest(ctx context.Context, uri string) (Manifest, error) {
	d, err := openDir(ctx, uri)
	if err != nil {
		return Manifest{}, err
	}
	return d.manifest(ctx)
}

func (d outputDir) manifest(ctx context.Context) (Manifest, error) {
	text, err := d.read(ctx, d.at(SuccessFile))
	if err != nil {
		return Manifest{}, err
	}
	m, ok := parseManifest(text)
	if !ok {
		return Manifest{}, fmt.Errorf("read %s: %w", Join(d.uri, SuccessFile), ErrNoManifest)
	}
	return m, nil
}

func parseManifest(text []byte) (Manifest, bool) {
	var m Manifest
	if err := json.Unmarshal(text, &m); err != nil || m.Format != manifestFormat {
		return Manifest{}, false
	}
	return m, true
}

func (m Manifest) encode() []byte {
	if m.Files == nil {
		m.Files = []ManifestFile{}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", " ")
	_ = e.Encode(m) // strings and numbers only: cannot fail
	return b.Bytes()
}

// add puts the files that stay before the new ones, with what an earlier manifest knows of them, and totals.
func (m *Manifest) add(kept []ManifestFile, previous *string) {
	known := map[string]ManifestFile{}
	if previous != nil {
		old, _ := parseManifest([]byte(*previous))
		for _, f := range old.Files {
			known[f.Name] = f
		}
	}
	for i, f := range kept {
		if k, ok := known[f.Name]; ok && k.Bytes == f.Bytes {
			kept[i] = k
		}
	}
	m.Files = append(kept, m.Files...)
	slices.SortFunc(m.Files, func(a, b ManifestFile) int { return strings.Compare(a.Name, b.Name) })
	for _, f := range m.Files {
		m.Bytes += f.Bytes
		if f.Rows != nil {
			m.Rows += *f.Rows
		}
	}
}

// readAll reads a file that was opened.
func readAll(f File, name string) ([]byte, error) {
	b := make([]byte, f.Size())
	if n, err := f.ReadAt(b, 0); n < len(b) {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return b, nil
}
