package checkpoint

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spark-go/spark-go/mllib/modelfile"
	"github.com/spark-go/spark-go/rdd"
)

// TestRefuses: files of other versions and of other kinds of fits are refused with the reason.
func TestRefuses(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	k, err := Open(ctx, dir, "fit", "test.Fit", 2)
	if err != nil {
		t.Fatal(err)
	}
	same := []Property{Of("a", 1), Of("b", []float64{0.1, math.Inf(1)}), Data("x", "y")}
	if f, err := k.Resume(ctx, same...); f != nil || err != nil {
		t.Fatalf("there is nothing yet: %v, %v", f, err)
	}
	fill := func(f *modelfile.File) { f.Set("iteration", 3) }
	for _, c := range []struct {
		name       string
		version    int
		properties []Property
		want       string
	}{
		{"older", 1, same, "its content has version 1, this program writes 2"},
		{"newer", 3, same, "newer"},
		{"more", 2, append(same[:2:2], Of("c", 1), same[2]), "it is of another kind of fit"},
		{"fewer", 2, same[:2], "it is of another kind of fit"},
		{"value", 2, []Property{same[0], Of("b", []float64{0.1, 2}), same[2]}, "it is of a fit with b [0.1 2], this one has [0.1 +Inf]"},
		{"data", 2, []Property{same[0], same[1], Data("xy")}, "it is of a fit on other data"},
		{"same", 2, same, ""},
	} {
		other := &Keeper{uri: k.uri, kind: k.kind, version: c.version, properties: c.properties}
		if err := other.Save(ctx, fill); err != nil {
			t.Fatal(err)
		}
		f, err := k.Resume(ctx, same...)
		if c.want == "" {
			if err != nil {
				t.Fatal(err)
			}
			if n, err := k.Iteration(f, 4); n != 3 || err != nil {
				t.Errorf("iteration %d, %v", n, err)
			}
			if _, err := k.Iteration(f, 3); err == nil {
				t.Error("goes on where nothing is left to do")
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "fit.checkpoint: ") {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	k.Remove(ctx)
	if f, err := k.Resume(ctx, same...); f != nil || err != nil {
		t.Errorf("removed: %v, %v", f, err)
	}
}

// TestEngine: another version of the engine may draw other random numbers.
func TestEngine(t *testing.T) {
	k := &Keeper{kind: "test.Fit", version: 1}
	f := modelfile.New(k.kind, 1)
	f.Set("properties", []Property(nil))
	if err := k.same(f); err != nil {
		t.Fatal(err)
	}
	if err := k.same(&modelfile.File{}); err == nil || !strings.Contains(err.Error(), "version") {
		t.Errorf("got %v", err)
	}
}

// TestDigest: contents, lengths and places of slices all count.
func TestDigest(t *testing.T) {
	seen := map[string]int{}
	for i, s := range [][]any{
		{[]float64{1, 2}, []float64(nil)},
		{[]float64{1}, []float64{2}},
		{[]float64(nil), []float64{1, 2}},
		{[]float32{1, 2}, []float64(nil)},
		{[]string{"ab", "c"}},
		{[]string{"a", "bc"}},
		{[]string{"a"}, []string{"bc"}},
	} {
		d := Digest(s...)
		if at, ok := seen[d]; ok {
			t.Errorf("cases %d and %d have one digest", at, i)
		}
		if seen[d] = i; d != Digest(s...) {
			t.Errorf("case %d has two digests", i)
		}
	}
	if Of("x", strings.Repeat("a", 100)) == Of("x", strings.Repeat("a", 101)) {
		t.Error("long values are alike")
	}
}

// keeping is a session of a program that keeps what is finished in a folder.
type keeping struct {
	rdd.Session
	dir string
}

func (k keeping) KeepDir() string { return k.dir }
func (k keeping) KeptBy() string  { return "test" }

// Fits that nobody asked to keep have files of their own in the program's folder, which cannot fail them.
func TestKeptWithTheProgram(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	open := func(dir string, own string, interval int) *Keeper {
		k, err := OpenFor(ctx, keeping{dir: dir}, own, interval, "fit", "test.Fit", 1)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	if open("", "", 1) != nil || open(dir, "", -1) != nil {
		t.Error("a checkpoint that nobody wants")
	}
	if k := open(dir, t.TempDir(), 1); k.folder != "" {
		t.Error("a directory of the fit's own does not go first")
	}
	for i := range 2 {
		k := open(dir, "", 10)
		if f, err := k.Resume(ctx, Of("K", i), Data("x")); f != nil || err != nil {
			t.Fatal(f, err)
		}
		if err := k.Save(ctx, func(f *modelfile.File) { f.Set("iteration", i+1) }); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 2 {
		k := open(dir, "", 10)
		f, err := k.Resume(ctx, Of("K", i), Data("x"))
		if err != nil || f == nil {
			t.Fatal(f, err)
		}
		if done, err := k.Iteration(f, 10); done != i+1 || err != nil {
			t.Errorf("fit %d goes on after %d, %v", i, done, err)
		}
		if i == 0 {
			k.Remove(ctx)
		}
	}
	files, err := os.ReadDir(dir)
	if len(files) != 1 || err != nil {
		t.Fatal(files, err)
	}
	path := filepath.Join(dir, files[0].Name())
	if err := os.WriteFile(path, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if f, err := open(dir, "", 10).Resume(ctx, Of("K", 1), Data("x")); f != nil || err != nil {
		t.Errorf("a damaged file: %v, %v", f, err)
	}
	k := open(path, "", 10) // a file is no folder
	if f, err := k.Resume(ctx, Of("K", 1)); f != nil || err != nil {
		t.Errorf("no folder: %v, %v", f, err)
	}
	if err := k.Save(ctx, func(*modelfile.File) {}); err != nil {
		t.Errorf("a file that cannot be written fails the fit: %v", err)
	}
}
