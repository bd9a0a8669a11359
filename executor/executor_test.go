package executor

import (
	"context"
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/spark-go/spark-go/executor/blocks"
	"github.com/spark-go/spark-go/executor/protocol"
	"github.com/spark-go/spark-go/rdd"
	"github.com/spark-go/spark-go/shuffle/disk"
)

func TestMemoryIsShared(t *testing.T) {
	m := NewMemory(1000, 0.5)
	a, b := m.Task(), m.Task()
	if got := a.Acquire(900); got != 500 {
		t.Errorf("one of two tasks got %d of 1000", got)
	}
	if got := b.Acquire(300); got != 300 {
		t.Errorf("the other got %d", got)
	}
	if m.reserve(201) || !m.reserve(200) {
		t.Error("storage takes what is free and no more")
	}
	if got := b.Acquire(100); got != 0 {
		t.Errorf("%d bytes from a full budget", got)
	}
	if got := a.Acquire(1); got != 0 {
		t.Errorf("%d bytes above a task's share", got)
	}
	// A third task lowers the share of those that hold more: nobody is granted less than nothing, and nothing is taken from them.
	c := m.Task()
	if got := a.Acquire(10); got != 0 {
		t.Errorf("%d bytes to a task that holds more than its share", got)
	}
	if got := c.Acquire(-5); got != 0 {
		t.Errorf("%d bytes for a negative request", got)
	}
	c.Close()
	a.Release(100)
	if leaked, peak := a.Close(); leaked != 400 || peak != 500 {
		t.Errorf("leaked %d, peak %d", leaked, peak)
	}
	b.Release(1 << 40) // more than it has
	if execution, storage, peak := m.Used(); execution != 0 || storage != 200 || peak != 1000 {
		t.Errorf("%d, %d, %d are used", execution, storage, peak)
	}
}

// block is a kept partition of n bytes; with spill it goes to disk when memory is short.
func block(n int64, spill bool) rdd.Block {
	b := rdd.Block{Rows: [][]byte{make([]byte, n)}, Memory: n}
	if spill {
		b.Spills, b.Write = true, func(_ any, f io.Writer) (int64, error) { k, err := f.Write(make([]byte, n)); return int64(k), err }
	}
	return b
}

func TestStoreEvictsTheOldest(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "blocks")
	m := NewMemory(1000, 0.2)
	changes := map[protocol.BlockID]protocol.BlockUpdate{}
	s := NewStore(m, disk.New(dir), func(u protocol.BlockUpdate) { changes[u.ID] = u })
	put := func(dataset int, n int64, spill bool) bool {
		if !s.Reserve(dataset, n) {
			return false
		}
		s.Put(dataset, 0, block(n, spill))
		return true
	}
	for d := range 4 {
		if !put(d, 250, d == 1) {
			t.Fatal("the store is full too early")
		}
	}
	s.Get(0, 0) // used: now 1 is the oldest
	if !put(4, 250, false) {
		t.Fatal("nothing was evicted")
	}
	if b, ok := s.Get(1, 0); !ok || b.Rows != nil || b.Disk != 250 {
		t.Errorf("the evicted block is not on disk: %+v", b)
	}
	if u := changes[protocol.BlockID{Dataset: 1}]; u.Disk != 250 || u.Memory != 0 {
		t.Errorf("the driver was told %+v", u)
	}
	if s.Reserve(4, 900) {
		t.Error("a dataset evicted its own block")
	}
	// Execution evicts, by whole blocks, down to the protected part.
	task := m.Task()
	if got := task.Acquire(1000); got < 750 {
		t.Errorf("execution got %d", got)
	}
	if _, storage, _ := m.Used(); storage > 250 {
		t.Errorf("%d bytes of storage are left", storage)
	}
	// A file that somebody deleted is a block that is not there.
	b, _ := s.Get(1, 0)
	os.Remove(b.File)
	if _, ok := s.Get(1, 0); ok {
		t.Error("a block without its file")
	}
	for d := range 5 {
		s.Remove(d)
	}
	task.Close()
	if execution, storage, _ := m.Used(); execution != 0 || storage != 0 {
		t.Errorf("%d and %d bytes are used at the end", execution, storage)
	}
	s.Close()
	if _, err := os.Stat(dir); err == nil {
		t.Error("Close left files")
	}
}

// shelf serves blocks by name and counts how often each was asked for.
type shelf struct {
	mu     sync.Mutex
	blocks map[string]string
	asked  map[string]int
}

func (s *shelf) Open(name string) (io.ReadCloser, int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked[name]++
	b, ok := s.blocks[name]
	if !ok {
		return nil, 0, fs.ErrNotExist
	}
	return io.NopCloser(strings.NewReader(b)), int64(len(b)), nil
}

func serve(t *testing.T, s *shelf) (*blocks.Client, string) {
	t.Helper()
	secret := protocol.Secret{1, 2, 3}
	dir, err := os.MkdirTemp("/tmp", "sg-")
	if err != nil {
		t.Fatal(err)
	}
	server, err := blocks.Serve("unix:"+filepath.Join(dir, "s"), secret, blocks.ServerConfig{Provider: s})
	if err != nil {
		t.Fatal(err)
	}
	client := blocks.NewClient(secret, blocks.ClientConfig{Retries: -1})
	t.Cleanup(func() { client.Close(); server.Close(); os.RemoveAll(dir) })
	return client, server.Addr()
}

func TestFilesAreFetchedOnceAndChecked(t *testing.T) {
	text := strings.Repeat("line\n", 1000)
	sum := crc32.Checksum([]byte(text), castagnoli)
	s := &shelf{asked: map[string]int{}, blocks: map[string]string{
		"filehead/good": FileHead(5000, sum), "file/good": text,
		"filehead/short": FileHead(5000, sum), "file/short": text[5:],
		"filehead/wrong": FileHead(5000, sum), "file/wrong": strings.Repeat("liNe\n", 1000),
		"filehead/odd": "what?", "file/odd": text,
	}}
	client, addr := serve(t, s)
	dir := filepath.Join(t.TempDir(), "files")
	f := newFiles(client, addr, disk.New(dir))
	var tasks sync.WaitGroup
	for range 8 {
		tasks.Go(func() {
			path, err := f.get(context.Background(), "good")
			if err != nil {
				t.Error(err)
				return
			}
			if got, err := os.ReadFile(path); string(got) != text || err != nil {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
	}
	tasks.Wait()
	if s.asked["file/good"] != 1 {
		t.Errorf("fetched %d times", s.asked["file/good"])
	}
	for _, name := range []string{"short", "wrong", "odd"} {
		if _, err := f.get(context.Background(), name); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	var missing *NoFileError
	for _, name := range []string{"none", "", ".", "..", "a/b"} {
		if _, err := f.get(context.Background(), name); !errors.As(err, &missing) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("files %v, want the good one", left)
	}
}

func TestBroadcastPieces(t *testing.T) {
	value := []byte(strings.Repeat("0123456789", 1000))
	for _, compress := range []bool{true, false} {
		pieces, err := CutBroadcast(value, 4096, compress)
		if err != nil || len(pieces) != 4 {
			t.Fatalf("%d pieces, %v", len(pieces), err)
		}
		s := &shelf{asked: map[string]int{}, blocks: map[string]string{}}
		for i, p := range pieces {
			s.blocks[broadcastBlock(7, i)] = string(p)
		}
		client, addr := serve(t, s)
		same := func(b []byte) (any, error) { return string(b), nil }
		got, err := newBroadcasts(client, addr).Broadcast(context.Background(), 7, same)
		if err != nil || got != string(value) {
			t.Errorf("compress %v: %v", compress, err)
		}
		damaged := []byte(s.blocks[broadcastBlock(7, 2)])
		damaged[len(damaged)/2] ^= 1
		s.mu.Lock()
		s.blocks[broadcastBlock(7, 2)] = string(damaged)
		s.mu.Unlock()
		if _, err := newBroadcasts(client, addr).Broadcast(context.Background(), 7, same); err == nil || !strings.Contains(err.Error(), "checksum") {
			t.Errorf("a damaged piece: %v", err)
		}
	}
	for _, name := range []string{"", "broadcast/", "broadcast/1", "broadcast/-1/0", "broadcast/1/x", "file/1/0"} {
		if _, _, err := ParseBroadcastBlock(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q: %v", name, err)
		}
	}
}
