package host

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/spark-go/spark-go/executor/protocol"
)

// writes keeps each write apart.
type writes struct{ all [][]byte }

func (w *writes) Write(p []byte) (int, error) {
	w.all = append(w.all, bytes.Clone(p))
	return len(p), nil
}

func TestCopyLines(t *testing.T) {
	long := strings.Repeat("x", 5000)
	huge := strings.Repeat("y", 3*maxLine)
	for name, c := range map[string]struct{ in, want string }{
		"lines":      {"a\nbb\n", "a\nbb\n"},
		"unfinished": {"a\nbb", "a\nbb\n"},
		"empty":      {"", ""},
		"long":       {"a\n" + long + "\nb\n", "a\n" + long + "\nb\n"},
		"many":       {strings.Repeat("a line\n", 10000), strings.Repeat("a line\n", 10000)},
		"huge":       {huge + "\nb", huge + "\nb\n"},
	} {
		for kind, src := range map[string]io.Reader{"whole": strings.NewReader(c.in), "bytes": iotest.OneByteReader(strings.NewReader(c.in))} {
			var w writes
			copyLines(&w, src, nil)
			if got := string(bytes.Join(w.all, nil)); got != c.want {
				t.Errorf("%s, %s: %d bytes, not the %d expected", name, kind, len(got), len(c.want))
			}
			for _, p := range w.all {
				if name != "huge" && p[len(p)-1] != '\n' {
					t.Errorf("%s, %s: a write ends within a line", name, kind)
				}
				if len(p) > atomicWrite && bytes.Count(p, []byte("\n")) > 1 {
					t.Errorf("%s, %s: %d bytes in one write", name, kind, len(p))
				}
			}
		}
	}
}

// Lines are edited whole, however they come, and the last one also when it has no end.
func TestEditedLines(t *testing.T) {
	const in = "one secret\na secret and a secret\n\nlast sec"
	for step := 1; step <= len(in); step++ {
		var w writes
		l := &editedLines{dst: &w, edit: func(s string) string { return strings.ReplaceAll(s, "secret", "*") }}
		for rest := in; rest != ""; {
			n := min(step, len(rest))
			if m, err := l.Write([]byte(rest[:n])); m != n || err != nil {
				t.Fatal(m, err)
			}
			rest = rest[n:]
		}
		l.flush()
		l.flush()
		if got := string(bytes.Join(w.all, nil)); got != "one *\na * and a *\n\nlast sec\n" {
			t.Errorf("%d bytes a write: %q", step, got)
		}
	}
	var w writes
	l := &editedLines{dst: &w, edit: strings.ToUpper}
	for range 2 * maxLine / 16 {
		l.Write(bytes.Repeat([]byte("x"), 16))
	}
	if len(w.all) == 0 || len(l.rest) > maxLine {
		t.Errorf("%d bytes of a line without an end are kept", len(l.rest))
	}
}

func TestTail(t *testing.T) {
	lines := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "line %d\n", i)
		}
		return b.String()
	}
	stack := "panic: boom\n\ngoroutine 1 [running]:\n" + lines(5000)
	for name, c := range map[string]struct {
		in          string
		first, last string
	}{
		"few":               {"a\nb\n", "a", "b"},
		"many":              {lines(5000), "line 4980", "line 4999"},
		"panic":             {lines(100) + stack, "panic: boom", "line 16"},
		"not the beginning": {"do not panic: no\nb\n", "do not panic: no", "b"},
		"fatal":             {"x\nfatal error: all goroutines are asleep\n", "fatal error: all goroutines are asleep", "fatal error: all goroutines are asleep"},
		"nothing":           {"", "", ""},
	} {
		for _, step := range []int{1, 7, 1 << 20} {
			var keep tail
			for in := []byte(c.in); len(in) > 0; {
				n := min(step, len(in))
				keep.add(in[:n])
				in = in[n:]
			}
			got := strings.Split(keep.text(), "\n")
			if got[0] != c.first || got[len(got)-1] != c.last || len(got) > 20 {
				t.Errorf("%s in steps of %d: from %q to %q, %d lines", name, step, got[0], got[len(got)-1], len(got))
			}
		}
	}
}

func TestRoots(t *testing.T) {
	dir := t.TempDir()
	names := func() string {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		var s []string
		for _, e := range entries {
			s = append(s, e.Name())
		}
		return strings.Join(s, " ")
	}
	a, err := NewRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(a.Dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder is %v, %v", info.Mode(), err)
	}
	held, err := holdRoot(a.Dir)
	if err != nil {
		t.Fatal(err)
	}
	// Others' folders, and files that are none of ours.
	os.Mkdir(filepath.Join(dir, "other"), 0o700)
	os.Mkdir(filepath.Join(dir, rootPrefix+"unlocked"), 0o700)
	os.WriteFile(filepath.Join(dir, rootPrefix+"file"), nil, 0o600)
	before := names()
	a.Release()
	sweepRoots(dir)
	if got := names(); got != before {
		t.Errorf("swept %s down to %s", before, got)
	}
	held.Release()
	b, err := NewRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(a.Dir); err == nil {
		t.Error("a folder that nobody holds is left")
	}
	if err := b.Remove(); err != nil {
		t.Error(err)
	}
	if got := names(); got != strings.Replace(before, filepath.Base(a.Dir)+" ", "", 1) && strings.Contains(got, filepath.Base(a.Dir)) {
		t.Errorf("left: %s", got)
	}
	if _, err := NewRoot(filepath.Join(dir, "missing")); err == nil || !strings.Contains(err.Error(), "spark.local.dir") {
		t.Errorf("a folder that is not there: %v", err)
	}
}

func TestLifeline(t *testing.T) {
	parent, child, err := newLifeline()
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.SetNonblock(int(child.Fd()), true); err != nil {
		t.Fatal(err)
	}
	// As the child would take it.
	fd, err := syscall.Dup(int(child.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	child.Close()
	line := os.NewFile(uintptr(fd), "line")
	want := Spec{App: "x", Secret: protocol.NewSecret(), Args: []string{"a", "b"}, Binary: Executable{Path: "/bin/x", Digest: "00"}}
	if err := sendSpec(parent, &want); err != nil {
		t.Fatal(err)
	}
	var got Spec
	if err := readSpec(line, &got); err != nil || got.Secret != want.Secret || got.Binary != want.Binary || len(got.Args) != 2 {
		t.Fatalf("%+v, %v", got, err)
	}
	heard := make(chan byte, 10)
	ended := make(chan struct{})
	go func() { awaitEnd(parent, func(b byte) { heard <- b }); close(ended) }()
	line.Write([]byte{1})
	if b := <-heard; b != 1 {
		t.Errorf("heard %d", b)
	}
	line.Close()
	select {
	case <-ended:
	case <-time.After(time.Second):
		t.Error("the end is not noticed")
	}
	parent.Close()
}

func TestBadSpecs(t *testing.T) {
	for name, body := range map[string][]byte{
		"nothing":  nil,
		"too long": binary.LittleEndian.AppendUint32(nil, 1<<31),
		"cut":      append(binary.LittleEndian.AppendUint32(nil, 10), "{}"...),
		"no JSON":  append(binary.LittleEndian.AppendUint32(nil, 2), "xx"...),
	} {
		parent, child, err := newLifeline()
		if err != nil {
			t.Fatal(err)
		}
		parent.Write(body)
		parent.Close()
		syscall.SetNonblock(int(child.Fd()), true)
		fd, _ := syscall.Dup(int(child.Fd()))
		child.Close()
		line := os.NewFile(uintptr(fd), "line")
		if err := readSpec(line, new(Spec)); err == nil {
			t.Errorf("%s is taken for a specification", name)
		}
		line.Close()
	}
}

// Somebody who sets the variable by hand gets an explanation, not a process that waits or runs his program as something else.
func TestRoleByHand(t *testing.T) {
	for _, role := range []string{roleHost, roleExecutor, "king"} {
		cmd := exec.Command(os.Args[0], "-test.run=^$")
		cmd.Env = append(os.Environ(), roleVariable+"="+role)
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.Contains(string(out), "Unset it") {
			t.Errorf("%s: %v, %s", role, err, out)
		}
	}
}

func TestExecutable(t *testing.T) {
	self, err := Self()
	if err != nil {
		t.Fatal(err)
	}
	sum, err := self.Hash()
	if err != nil || len(sum) != 64 {
		t.Fatalf("%s, %v", sum, err)
	}
	if err := checkBinary(self.Path, sum); err != nil {
		t.Error(err)
	}
	if err := checkBinary(self.Path, strings.Repeat("0", 64)); err == nil || !strings.Contains(err.Error(), "replaced") {
		t.Errorf("another digest: %v", err)
	}
	if err := checkBinary(self.Path, "xyz"); err == nil {
		t.Error("no digest is taken for one")
	}
	// The parent's word is taken for the very same file only.
	known := self
	known.Digest = "known"
	if d, err := digestOf(known); err != nil || d != "known" {
		t.Errorf("%s, %v", d, err)
	}
	known.Modified++
	if d, err := digestOf(known); err != nil || d != sum {
		t.Errorf("%s, %v", d, err)
	}
}

func TestLogHandler(t *testing.T) {
	var got []*protocol.Log
	log := slog.New(&logHandler{send: func(l *protocol.Log) { got = append(got, l) }})
	log.Debug("not sent")
	log.With("a", 1).WithGroup("g").Warn("sent", "b", "x y", slog.Group("h", "c", errors.New("bad")))
	if len(got) != 1 || got[0].Text != `sent a="1" g.b="x y" g.h.c="bad"` || got[0].Level != int(slog.LevelWarn) || got[0].Time.IsZero() {
		t.Errorf("%+v", got)
	}
}

func TestPluginLog(t *testing.T) {
	var buf bytes.Buffer
	var l hclog.Logger = &pluginLog{log: slog.New(slog.NewTextHandler(&buf, nil))}
	l = l.Named("stdio").With("k", 1)
	l.Warn("not shown")
	l.Error("plugin process exited", "pid", 3)
	l.StandardLogger(nil).Print("not shown")
	if !strings.Contains(buf.String(), `level=INFO msg="plugin process exited" k=1 pid=3`) || strings.Contains(buf.String(), "not shown") {
		t.Errorf("%s", buf.String())
	}
	if l.Name() != "stdio" || l.IsDebug() || !l.IsError() || l.With("x", 2).ImpliedArgs()[3] != 2 {
		t.Errorf("%q %v", l.Name(), l.ImpliedArgs())
	}
}

// fakeDriver accepts one peer and answers its registration.
func TestRegister(t *testing.T) {
	secret := protocol.NewSecret()
	addr := "unix:" + filepath.Join(t.TempDir(), "s")
	ln, err := protocol.Listen(addr, secret, protocol.Control, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	answers := map[string]protocol.Message{
		"good": &protocol.Registered{MaxFrame: 1000, Heartbeat: time.Second}, "old": &protocol.Refused{Reason: "too old"}, "odd": &protocol.Stop{},
	}
	go ln.Serve(func(nc net.Conn) {
		c := protocol.NewConn(nc, protocol.Limits{})
		defer c.Close()
		m, err := c.Receive()
		if err != nil {
			return
		}
		c.Send(answers[m.(*protocol.RegisterHost).Host])
		c.Receive()
	})
	conn, accepted, err := register(t.Context(), addr, secret, &protocol.RegisterHost{Host: "good"})
	if err != nil || accepted.MaxFrame != 1000 {
		t.Fatalf("%+v, %v", accepted, err)
	}
	var large *protocol.TooLargeError
	if err := conn.Send(&protocol.Refused{Reason: strings.Repeat("x", 2000)}); !errors.As(err, &large) {
		t.Errorf("the driver's limit is not kept: %v", err)
	}
	conn.Close()
	if _, _, err := register(t.Context(), addr, secret, &protocol.RegisterHost{Host: "old"}); !errors.Is(err, protocol.ErrRefused) || !strings.Contains(err.Error(), "too old") {
		t.Errorf("refused: %v", err)
	}
	if _, _, err := register(t.Context(), addr, secret, &protocol.RegisterHost{Host: "odd"}); err == nil {
		t.Error("an odd answer is taken for a welcome")
	}
	if _, _, err := register(t.Context(), addr, protocol.NewSecret(), &protocol.RegisterHost{Host: "good"}); !errors.Is(err, protocol.ErrRefused) {
		t.Errorf("another application: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, _, err := register(ctx, addr+"x", secret, &protocol.RegisterHost{}); err == nil {
		t.Error("nobody listens there")
	}
}
