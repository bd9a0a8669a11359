package host

import (
	"bytes"
	"io"
	"strings"
	"sync"
)

// atomicWrite is what pipes take in one piece on all systems, so that lines of several hosts that share one do not mix.
const atomicWrite = 4096

// maxLine is how long a line may grow before its beginning is passed on.
const maxLine = 64 << 10

// copyLines copies src to dst in whole lines, several in one write where they fit, until src ends; an unfinished last line gets its
// end. It goes on reading when dst fails: whoever writes must not stand still.
func copyLines(dst io.Writer, src io.Reader, keep *tail) {
	buf := make([]byte, 0, 2*maxLine)
	for {
		n, err := src.Read(buf[len(buf):cap(buf)])
		if keep != nil {
			keep.add(buf[len(buf) : len(buf)+n])
		}
		before := len(buf) // without the end of a line
		buf = buf[:before+n]
		end := bytes.LastIndexByte(buf[before:], '\n') + 1
		if end > 0 {
			end += before
		}
		if err != nil && end < len(buf) {
			buf = append(buf, '\n')
			end = len(buf)
		}
		if end == 0 && len(buf) >= maxLine {
			end = len(buf)
		}
		for out := buf[:end]; len(out) > 0; {
			piece := out[:min(len(out), atomicWrite)]
			if i := bytes.LastIndexByte(piece, '\n') + 1; i > 0 {
				piece = piece[:i]
			} else if i := bytes.IndexByte(out, '\n') + 1; i > 0 {
				piece = out[:i]
			} else {
				piece = out
			}
			_, _ = dst.Write(piece)
			out = out[len(piece):]
		}
		buf = buf[:copy(buf, buf[end:])]
		if err != nil {
			return
		}
	}
}

// editedLines is a writer that passes whole lines on to dst as edit makes them, several at a time.
type editedLines struct {
	dst  io.Writer
	edit func(string) string
	mu   sync.Mutex
	rest []byte // the beginning of a line
}

// Write never fails: whoever writes must not stand still.
func (l *editedLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	end := bytes.LastIndexByte(p, '\n') + 1
	if end == 0 && len(l.rest)+len(p) >= maxLine {
		end = len(p)
	}
	if end == 0 {
		l.rest = append(l.rest, p...)
		return len(p), nil
	}
	l.pass(append(l.rest, p[:end]...))
	l.rest = append(l.rest[:0], p[end:]...)
	return len(p), nil
}

// flush passes on what did not become a line.
func (l *editedLines) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.rest) > 0 {
		l.pass(append(l.rest, '\n'))
		l.rest = nil
	}
}

func (l *editedLines) pass(lines []byte) { _, _ = io.WriteString(l.dst, l.edit(string(lines))) }

// tail keeps the last lines that were written, for the report of how a process ended. A panic's first lines say the most and
// its stacks can be long, so from a line that begins one on, the beginning is kept instead of the end.
type tail struct {
	mu    sync.Mutex
	buf   []byte
	fatal bool // buf begins with a panic
}

const maxTail = 4 << 10

// Beginnings of what the Go runtime writes when it ends a process.
var fatalMarks = [][]byte{[]byte("panic: "), []byte("fatal error: "), []byte("runtime: out of memory")}

func (t *tail) add(p []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.fatal && len(t.buf) >= maxTail {
		return
	}
	t.buf = append(t.buf, p...)
	if !t.fatal {
		for _, mark := range fatalMarks {
			i := bytes.Index(t.buf, mark)
			for i > 0 && t.buf[i-1] != '\n' {
				j := bytes.Index(t.buf[i+1:], mark)
				if j < 0 {
					i = -1
					break
				}
				i += 1 + j
			}
			if i >= 0 {
				t.buf, t.fatal = t.buf[i:], true
				break
			}
		}
	}
	if t.fatal {
		t.buf = t.buf[:min(len(t.buf), maxTail)]
	} else if len(t.buf) > 2*maxTail {
		t.buf = append(t.buf[:0], t.buf[len(t.buf)-maxTail:]...)
	}
}

// text returns the kept lines, whole ones where possible.
func (t *tail) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.buf
	if !t.fatal && len(b) > maxTail {
		b = b[len(b)-maxTail:]
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			b = b[i+1:]
		}
	}
	lines := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	const maxLines = 20
	if len(lines) > maxLines {
		if t.fatal {
			lines = lines[:maxLines]
		} else {
			lines = lines[len(lines)-maxLines:]
		}
	}
	return strings.Join(lines, "\n")
}
