package checkpoint

import (
	"context"
	"math"
	"strings"
	"testing"

	"github.com/spark-go/spark-go/mllib/modelfile"
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
