package executor

import (
	"errors"
	"io/fs"
	"testing"
)

// FuzzBlockNames: names of blocks come from other processes. One that is none is not found; one that is means the same when it is written again.
func FuzzBlockNames(f *testing.F) {
	for _, name := range []string{broadcastBlock(7, 0), broadcastBlock(0, 12), "broadcast/-1/2", "broadcast/1/2/3", "file/x", "file/x/", ""} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		id, piece, err := ParseBroadcastBlock(name)
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				t.Fatalf("%q: %v is not \"not found\"", name, err)
			}
		} else if i, p, err := ParseBroadcastBlock(broadcastBlock(id, piece)); err != nil || i != id || p != piece {
			t.Fatalf("%q: %d %d, then %d %d, %v", name, id, piece, i, p, err)
		}
		if file, content, ok := ParseFileBlock(name); ok && len(file) >= len(name) || !ok && content {
			t.Fatalf("%q: file %q", name, file)
		}
	})
}
