package shuffle

import (
	"bytes"
	"os"
	"slices"
	"testing"

	"github.com/spark-go/spark-go/shuffle/seal"
)

// A copy of a map output reads as the output does; what arrives changed, cut or too long for its sizes leaves nothing behind.
func TestStoreOutput(t *testing.T) { plainAndSealed(t, storeOutput) }

func storeOutput(t *testing.T, key *seal.Key) {
	env := localEnv(t)
	env.Key = key
	id := WriterID{1, 0, 9}
	out, want := writeMap(t, env, id, 4, 300)
	good, err := os.ReadFile(DataFile(env.Location.Dir, id))
	if err != nil {
		t.Fatal(err)
	}
	there := *env
	there.Location.Dir = t.TempDir()
	copied := out
	copied.Location = there.Location
	if err := StoreOutput(there.Location.Dir, id, out.Sizes, bytes.NewReader(good)); err != nil {
		t.Fatal(err)
	}
	got, err := drainErr(&there, []Output{copied}, 0, 4)
	if err != nil || !slices.Equal(got, slices.Concat(want[0], want[1], want[2], want[3])) {
		t.Errorf("the copy has %d rows, %v", len(got), err)
	}
	for _, file := range []func(string, WriterID) string{DataFile, IndexFile} {
		a, err1 := os.ReadFile(file(env.Location.Dir, id))
		b, err2 := os.ReadFile(file(there.Location.Dir, id))
		if err1 != nil || err2 != nil || !bytes.Equal(a, b) {
			t.Error("the files of the copy are not those of the output", err1, err2)
		}
	}
	refused := func(what string, i int, sizes []int64, data []byte) {
		t.Helper()
		dir := t.TempDir()
		if err := StoreOutput(dir, id, sizes, bytes.NewReader(data)); err == nil {
			t.Errorf("%s %d: taken", what, i)
		}
		if left, _ := os.ReadDir(shuffleDir(dir, 1)); len(left) > 0 {
			t.Errorf("%s %d: left %v", what, i, left)
		}
	}
	for i := 0; i < len(good); i += 1 + i/40 {
		bad := slices.Clone(good)
		bad[i] ^= 1 << (i % 8)
		refused("bit of byte", i, out.Sizes, bad)
	}
	for _, n := range []int{0, 1, blockHeader, len(good) / 2, len(good) - 1} {
		refused("cut to", n, out.Sizes, good[:n])
	}
	for i := range out.Sizes {
		for _, by := range []int64{-1, 1, -1 << 40} {
			sizes := slices.Clone(out.Sizes)
			sizes[i] += by
			refused("another size of", i, sizes, good)
		}
	}
}
