package rdd

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"
)

// Command is the external process of Pipe.
type Command struct {
	Args []string          // the program, found through PATH, and its arguments
	Env  map[string]string // added to the executor's environment
	Dir  string            // the working directory; empty means the executor's
	// PrivateDir starts the process in an empty directory of its task instead, which is removed with the task.
	PrivateDir bool
	Header     []string // lines written before the first row
}

// Pipe sends the rows of each partition, one a line, through a process of its own and makes rows of the lines that it prints. Rows
// must not contain line feeds. The process runs on the executors; what it needs must be there.
//
// The task fails if the process ends with a status other than 0; the error holds the end of what it printed to its standard error.
// A process that ends well without reading all rows, such as head, is not an error. It is killed, with the processes that it
// started, when the task is cancelled or needs no more rows.
func Pipe(r RDD[string], c Command) RDD[string] {
	var err error
	if len(c.Args) == 0 || c.Args[0] == "" {
		err = fail("Pipe", errors.New("no program is named: give it in Args"))
	}
	return derive(r, "Pipe", pipeOp{r, c}, err)
}

type pipeOp struct {
	Parent  RDD[string]
	Command Command
}

func (o pipeOp) Compute(t *Task, p int) (Stream[string], error) {
	in, err := o.Parent.Compute(t, p)
	if err != nil {
		return nil, err
	}
	return startPipe(t, o.Command, in)
}

// pipeStream is a running process. Rows are pulled and handed on in the task's goroutine, as everywhere; one goroutine writes to
// the process and one reads from it, so that neither side can wait for the other for ever. The fields below in belong to the
// task's goroutine, which sets the channels that it is done with to nil.
type pipeStream struct {
	ctx  context.Context
	name string
	in   Stream[string]
	cmd  *exec.Cmd
	errs tail

	ended   bool          // in has ended
	pending []byte        // lines that the writer has not taken yet
	write   chan []byte   // to the writer; closed at the end of the input
	spare   chan []byte   // written buffers, to be filled again
	deaf    chan struct{} // closed when the process reads no more
	lines   chan pipeLines
	stop    context.CancelFunc // ends the process and both goroutines
	stopped context.Context
	wg      sync.WaitGroup
	readErr error // why reading the output ended
	end     error // what the stream ended with
	waited  bool
	waitErr error
}

// pipeLines is a batch that the process printed, or why reading ended.
type pipeLines struct {
	rows []string
	err  error
}

func startPipe(t *Task, c Command, in Stream[string]) (Stream[string], error) {
	s := &pipeStream{
		ctx: t.ctx, name: c.Args[0], in: in, write: make(chan []byte), spare: make(chan []byte, 2), deaf: make(chan struct{}),
		lines: make(chan pipeLines),
	}
	for _, line := range c.Header {
		s.pending = append(append(s.pending, line...), '\n')
	}
	s.stopped, s.stop = context.WithCancel(t.ctx)
	cmd := exec.CommandContext(s.stopped, c.Args[0], c.Args[1:]...)
	cmd.Dir = c.Dir
	if c.PrivateDir {
		root, err := t.TempDir()
		if err == nil {
			cmd.Dir, err = os.MkdirTemp(root, "pipe-")
		}
		if err != nil {
			s.stop()
			return nil, fmt.Errorf("pipe through %s: %w", s.name, err)
		}
	}
	cmd.Env = os.Environ()
	for _, k := range slices.Sorted(maps.Keys(c.Env)) {
		cmd.Env = append(cmd.Env, k+"="+c.Env[k])
	}
	cmd.Stderr = &s.errs
	cmd.WaitDelay = 2 * time.Second // for a process that left others behind with its standard error
	ownGroup(cmd)
	stdin, err := cmd.StdinPipe()
	var stdout io.ReadCloser
	if err == nil {
		stdout, err = cmd.StdoutPipe()
	}
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		s.stop()
		return nil, fmt.Errorf("pipe through %s: %w: the program must be installed on every executor", s.name, err)
	}
	s.cmd = cmd
	s.wg.Add(2)
	go s.feed(stdin, s.write, s.deaf)
	go s.read(stdout, s.lines)
	// Closing our end frees the reader even where a process that outlived the group holds the other.
	context.AfterFunc(s.stopped, func() { stdout.Close() })
	t.OnDone(func(bool) { s.close() })
	return s, nil
}

// feed writes to the process until the input ends or the process reads no more.
func (s *pipeStream) feed(stdin io.WriteCloser, write <-chan []byte, deaf chan<- struct{}) {
	defer s.wg.Done()
	defer stdin.Close()
	for {
		select {
		case b, ok := <-write:
			if !ok {
				return
			}
			if _, err := stdin.Write(b); err != nil {
				close(deaf)
				return
			}
			s.spare <- b[:0]
		case <-s.stopped.Done():
			return
		}
	}
}

// read takes the lines that the process prints.
func (s *pipeStream) read(stdout io.Reader, lines chan<- pipeLines) {
	defer s.wg.Done()
	r := bufio.NewReaderSize(stdout, 1<<16)
	var rows []string
	size := 0
	send := func(b pipeLines) bool {
		select {
		case lines <- b:
			return true
		case <-s.stopped.Done():
			return false
		}
	}
	for {
		line, err := r.ReadString('\n')
		if line != "" {
			rows = append(rows, strings.TrimSuffix(line, "\n"))
			size += len(line)
		}
		if err != nil || len(rows) == BatchRows || size > 1<<20 || r.Buffered() == 0 {
			if len(rows) > 0 && !send(pipeLines{rows: rows}) {
				return
			}
			rows, size = nil, 0
		}
		if err != nil {
			send(pipeLines{err: err})
			return
		}
	}
}

// Next implements Stream.
func (s *pipeStream) Next() ([]string, error) {
	for s.end == nil {
		if err := s.fill(); err != nil {
			s.end = err
			break
		}
		if s.lines == nil && s.ended && len(s.pending) == 0 {
			s.end = s.finish()
			break
		}
		write := s.write
		if len(s.pending) == 0 {
			write = nil
		}
		select {
		case write <- s.pending:
			s.pending = nil
		case <-s.deaf:
			s.ended, s.pending, s.deaf, s.write = true, nil, nil, nil
		case b := <-s.lines:
			if b.err == nil {
				return b.rows, nil
			}
			// The process may still read what it is given.
			s.lines, s.readErr = nil, b.err
		case <-s.ctx.Done():
			s.end = context.Cause(s.ctx)
		}
	}
	return nil, s.end
}

// fill makes the next lines for the process, if the last ones were taken.
func (s *pipeStream) fill() error {
	if s.ended || len(s.pending) > 0 {
		return nil
	}
	rows, err := s.in.Next()
	if err == io.EOF {
		s.ended = true
		close(s.write)
		s.write = nil
		return nil
	}
	if err != nil {
		return err
	}
	var buf []byte
	select {
	case buf = <-s.spare:
	default:
	}
	for _, row := range rows {
		if strings.IndexByte(row, '\n') >= 0 {
			return fmt.Errorf("pipe through %s: the row %.60q contains a line feed: rows are lines: replace it before", s.name, row)
		}
		buf = append(append(buf, row...), '\n')
	}
	s.pending = buf
	return nil
}

// finish is what the stream ends with: io.EOF if the process ended well.
func (s *pipeStream) finish() error {
	err := s.wait()
	if s.ctx.Err() != nil {
		return context.Cause(s.ctx)
	}
	if err != nil {
		if text := s.errs.String(); text != "" {
			return fmt.Errorf("pipe through %s: %w: it said: %s", s.name, err, text)
		}
		return fmt.Errorf("pipe through %s: %w", s.name, err)
	}
	if s.readErr != io.EOF {
		return fmt.Errorf("pipe through %s: read its output: %w", s.name, s.readErr)
	}
	return io.EOF
}

func (s *pipeStream) wait() error {
	if !s.waited {
		s.waited, s.waitErr = true, s.cmd.Wait()
		if errors.Is(s.waitErr, exec.ErrWaitDelay) {
			s.waitErr = nil // it ended well and left somebody behind with its standard error
		}
	}
	return s.waitErr
}

// close ends what is still running and returns when it has ended.
func (s *pipeStream) close() {
	s.stop()
	s.wg.Wait()
	_ = s.wait() // that it was killed is known
}

// tail keeps the end of what is written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte
	cut bool
}

const tailBytes = 4096

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - tailBytes; over > 0 {
		t.buf = t.buf[:copy(t.buf, t.buf[over:])]
		t.cut = true
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := string(bytes.TrimSpace(t.buf))
	if t.cut {
		return "… " + text
	}
	return text
}
