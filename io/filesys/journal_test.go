package filesys

import (
	"errors"
	"strings"
	"testing"
)

// Readers refuse a directory in the middle of a commit, however they name it, and take it once it is finished.
func TestReadersRefuseUnfinished(t *testing.T) {
	ctx := t.Context()
	const uri = "mem://unfinished/a/out"
	o, err := NewOutput(ctx, uri, ErrorIfExists)
	if err != nil {
		t.Fatal(err)
	}
	var files []TaskFile
	for p := range 2 {
		w, err := o.CreateTask(ctx, p, ".txt")
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		files = append(files, w.File(0))
	}
	if got, err := Expand(ctx, uri); err != nil || len(got) != 0 {
		t.Errorf("before the commit: %v, %v", got, err)
	}
	d, _ := openDir(ctx, uri)
	j, err := o.plan(ctx, d, files)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.put(ctx, d.temporary(o.ID, journalFile), j.encode()); err != nil {
		t.Fatal(err)
	}
	if err := d.fsys.Rename(ctx, d.temporary(o.ID, j.Publish[0].Temporary), d.at(j.Publish[0].Name)); err != nil {
		t.Fatal(err)
	}
	endLease(o.ID) // the driver dies here
	for _, input := range []string{uri, uri + "/*.txt", "mem://unfinished/a", "mem://unfinished/*/out", "mem://unfinished/*/*/part-*"} {
		if got, err := Expand(ctx, input); !errors.Is(err, ErrUnfinished) || !strings.Contains(err.Error(), "spark-go clean") {
			t.Errorf("%s in the middle of a commit: %v, %v", input, got, err)
		}
	}
	r, err := Clean(ctx, uri, CleanOptions{})
	if err != nil || len(r.Finished) != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	if got, err := Expand(ctx, "mem://unfinished/*/*/part-*"); err != nil || len(got) != 2 {
		t.Errorf("after cleaning: %v, %v", got, err)
	}
}

func FuzzJournal(f *testing.F) {
	j := journal{Format: journalFormat, Version: 1, ID: "0123456789abcdef", Publish: []publication{{Name: "part-00000", Temporary: "x"}}, Remove: []string{"old"}}
	f.Add(string(j.encode()))
	f.Add(strings.Replace(string(j.encode()), "old", "../old", 1))
	f.Fuzz(func(t *testing.T, text string) {
		ctx := t.Context()
		d := outputDir{NewMem("journal"), "/out", "mem://journal/out"}
		if err := d.put(ctx, d.temporary(j.ID, journalFile), []byte(text)); err != nil {
			t.Fatal(err)
		}
		got, err := d.readJournal(ctx, j.ID)
		if err != nil {
			return
		}
		for _, name := range got.Remove {
			if !below(path2(d, name), "out") {
				t.Errorf("%q leads out of the directory", name)
			}
		}
	})
}

func path2(d outputDir, name string) string { return strings.TrimPrefix(d.at(name), "/") }

func FuzzManifest(f *testing.F) {
	f.Add(Manifest{Format: manifestFormat, Files: []ManifestFile{{Name: "a", Bytes: 1}}}.encode())
	f.Fuzz(func(t *testing.T, text []byte) {
		m, ok := parseManifest(text)
		if !ok {
			return
		}
		if again, ok := parseManifest(m.encode()); !ok || len(again.Files) != len(m.Files) {
			t.Errorf("%q", text)
		}
	})
}
