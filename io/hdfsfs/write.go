package hdfsfs

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path"
	"sync"
	"time"

	"github.com/colinmarc/hdfs/v2"

	"github.com/spark-go/spark-go/io/filesys"
)

const (
	// spoolMemory is what a small file may have before it goes to the local disk, and is sent.
	spoolMemory = 1 << 20
	uploadChunk = 256 << 10
	// writeWindow is how long a file is sent again and again. By default a NameNode declares a DataNode dead after 10.5 minutes; until then it
	// may name it for new blocks.
	writeWindow = 15 * time.Minute
	// refusalWindow is the same for what the NameNode itself refuses, such as a block for which it finds no DataNode.
	refusalWindow = time.Minute
	// closeWindow is how long the NameNode may take to see the last block's replicas.
	closeWindow = time.Minute
)

// Create starts a new file. What is written goes to a nameless file in the temporary directory (TMPDIR) and from there, as it grows, to a hidden
// temporary name on the cluster; Close waits until all is there and renames. If a DataNode fails meanwhile the whole file is sent again.
func (f *FS) Create(ctx context.Context, p string) (filesys.Writer, error) {
	p = path.Clean(p)
	if info, err := f.Stat(ctx, p); err == nil && info.IsDir {
		return nil, f.fail("create", p, errIsDir)
	} else if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	w := &writer{fs: f, path: p}
	w.ctx, w.cancel = context.WithCancel(ctx)
	w.grown = sync.NewCond(&w.mu)
	return w, nil
}

// writer collects a file and sends it. Small files are sent by Close, larger ones by a goroutine of their own while they grow.
type writer struct {
	fs     *FS
	path   string
	ctx    context.Context
	cancel context.CancelFunc
	done   bool          // closed or aborted
	sent   chan struct{} // closed when the sending goroutine ended; nil if there is none
	err    error         // of the sending; read after sent is closed

	mu       sync.Mutex
	grown    *sync.Cond
	memory   []byte
	spool    *os.File // nil as long as all is in memory
	size     int64
	complete bool // nothing more will be written
	failed   error
}

func (w *writer) Write(p []byte) (int, error) {
	if w.done {
		return 0, w.fs.fail("write", w.path, os.ErrClosed)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failed != nil {
		return 0, w.fs.fail("write", w.path, w.failed)
	}
	if err := w.ctx.Err(); err != nil {
		return 0, w.fs.fail("write", w.path, err)
	}
	if w.spool == nil && len(w.memory)+len(p) <= spoolMemory {
		w.memory = append(w.memory, p...)
		w.size += int64(len(p))
		return len(p), nil
	}
	if w.spool == nil {
		if err := w.startSpool(); err != nil {
			return 0, w.fs.fail("write", w.path, err)
		}
	}
	n, err := w.spool.Write(p)
	w.size += int64(n)
	w.grown.Signal()
	if err != nil {
		return n, w.fs.fail("write", w.path, spoolError(err))
	}
	return n, nil
}

func spoolError(err error) error {
	return fmt.Errorf("keep the file on the local disk until it is on the cluster: %w: free space in %s, or name another directory in TMPDIR", err, os.TempDir())
}

// startSpool moves what is in memory to a file without a name, which is gone when this process is, and begins to send.
func (w *writer) startSpool() error {
	spool, err := os.CreateTemp("", "spark-go-hdfs-*")
	if err != nil {
		return spoolError(err)
	}
	if err = os.Remove(spool.Name()); err == nil {
		_, err = spool.Write(w.memory)
	}
	if err != nil {
		return errors.Join(spoolError(err), spool.Close())
	}
	w.spool, w.memory = spool, nil
	w.sent = make(chan struct{})
	go func() {
		defer close(w.sent)
		w.err = w.send()
		w.mu.Lock()
		w.failed = w.err
		w.mu.Unlock()
	}()
	return nil
}

// Close makes the file visible under its name.
func (w *writer) Close() error {
	if w.done {
		return nil
	}
	w.finish(true)
	if w.sent != nil {
		<-w.sent
	} else {
		w.err = w.send()
	}
	w.release()
	return w.fs.fail("write", w.path, w.err)
}

// Abort discards what was written.
func (w *writer) Abort() error {
	if w.done {
		return nil
	}
	w.cancel()
	w.finish(false)
	if w.sent != nil {
		<-w.sent
	}
	w.release()
	return nil
}

// finish tells the sender that no more will come.
func (w *writer) finish(complete bool) {
	w.done = true
	w.mu.Lock()
	w.complete = complete
	w.grown.Signal()
	w.mu.Unlock()
}

func (w *writer) release() {
	w.cancel()
	if w.spool != nil {
		_ = w.spool.Close() // it has no name and was read to its end
	}
	w.memory = nil
}

// available waits until there is something to send from an offset and tells how much; nothing when the file ends there.
func (w *writer) available(off int64) (n int64, err error) {
	stop := context.AfterFunc(w.ctx, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.grown.Signal()
	})
	defer stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	// Whole chunks while it grows: packets of the protocol are of fixed size.
	for w.ctx.Err() == nil && !w.complete && w.size-off < uploadChunk {
		w.grown.Wait()
	}
	return w.size - off, w.ctx.Err()
}

// send brings the file to the cluster, in as many tries as it takes.
func (w *writer) send() error {
	var began time.Time // of the failures
	limit, pause := writeLimit, 250*time.Millisecond
	for try := 1; ; try++ {
		err := w.upload(limit)
		if err == nil || w.ctx.Err() != nil {
			return err
		}
		if began.IsZero() {
			began = time.Now()
		}
		window := writeWindow
		switch {
		case isRefusal(err):
			window = refusalWindow
		case isAnswer(err) || errors.Is(err, errSpool) || !w.fs.reached.Load():
			return err
		}
		if time.Since(began)+pause > window {
			return fmt.Errorf("the file could not be sent in %d tries: %w", try, err)
		}
		slog.Warn("a file is sent to HDFS again from its beginning", "file", w.fs.uri+w.path, "try", try, "after", pause, "error", w.fs.explain(err))
		if !sleep(w.ctx, pause) {
			return w.ctx.Err()
		}
		pause = min(2*pause, 10*time.Second)
		limit = min(2*limit, maxLimit)
	}
}

// isRefusal tells whether the NameNode may think otherwise later: its exceptions of no particular class (no DataNode for
// a block, replicas that are not there yet), and those for a file whose lease it gave up.
func isRefusal(err error) bool {
	var remote hdfs.Error
	if !errors.As(err, &remote) {
		return false
	}
	switch remote.Exception() {
	case "java.io.IOException", safeModeException, retriableException, standbyException,
		"org.apache.hadoop.hdfs.server.namenode.LeaseExpiredException", "org.apache.hadoop.hdfs.server.namenode.NotReplicatedYetException":
		return true
	}
	return false
}

var errSpool = errors.New("read back what was written")

// upload is one try.
func (w *writer) upload(limit time.Duration) error {
	unique := make([]byte, 6)
	_, _ = rand.Read(unique) // never fails
	temporary := path.Join(path.Dir(w.path), "."+path.Base(w.path)+".tmp-"+hex.EncodeToString(unique))
	// The directory first, with its own patience for the NameNode.
	if err := w.fs.MkdirAll(w.ctx, path.Dir(w.path)); err != nil {
		return err
	}
	s, err := w.fs.open(w.ctx)
	if err != nil {
		return err
	}
	s.writing = true
	created := false
	err = s.run(w.ctx, limit, func() error {
		created = true // it may be, whatever comes back
		out, err := s.create(temporary)
		if err != nil {
			return err
		}
		if err := w.copy(s, out); err != nil {
			s.abandon()
			_ = out.Close() // ends the client's goroutines; it cannot succeed
			return err
		}
		return finish(w.ctx, out)
	})
	s.close()
	if err == nil {
		if err = w.fs.Rename(w.ctx, temporary, w.path); err == nil {
			return nil
		}
	}
	if created {
		// Also when the context was cancelled, but not for long then.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(w.ctx), 10*time.Second)
		defer cancel()
		if e := w.fs.RemoveAll(ctx, temporary); e != nil {
			slog.Warn("a temporary file stays on HDFS", "file", w.fs.uri+temporary, "error", e)
		}
	}
	return err
}

// create makes the file, with the configuration's replication and block size or else the cluster's.
func (s *session) create(p string) (*hdfs.FileWriter, error) {
	c := s.fs.cluster
	if c.replication == 0 || c.blockSize == 0 {
		d, err := s.client.ServerDefaults()
		if err != nil {
			return nil, err
		}
		if c.replication == 0 {
			c.replication = d.Replication
		}
		if c.blockSize == 0 {
			c.blockSize = d.BlockSize
		}
	}
	return s.client.CreateFile(p, c.replication, c.blockSize, 0o644)
}

// copy sends the file as it grows, to its end.
func (w *writer) copy(s *session, out io.Writer) error {
	buf := make([]byte, uploadChunk)
	for off := int64(0); ; {
		n, err := w.available(off)
		if err != nil || n == 0 {
			return err
		}
		part := buf[:min(n, uploadChunk)]
		if w.spool == nil {
			part = w.memory[off : off+int64(len(part))]
		} else if _, err := w.spool.ReadAt(part, off); err != nil {
			return fmt.Errorf("%w: %w", errSpool, err)
		}
		if _, err := out.Write(part); err != nil {
			return err
		}
		if err := s.broken(); err != nil {
			return err
		}
		off += int64(len(part))
	}
}

// finish closes a file, waiting for the NameNode to hear of its last block.
func finish(ctx context.Context, out *hdfs.FileWriter) error {
	pause := 5 * time.Millisecond
	for began := time.Now(); ; pause = min(2*pause, time.Second) {
		err := out.Close()
		if err == nil || !hdfs.IsErrReplicating(err) || time.Since(began) > closeWindow {
			return err
		}
		if !sleep(ctx, pause) {
			return ctx.Err()
		}
	}
}
