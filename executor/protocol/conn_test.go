package protocol

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// checkLeaks fails the test if goroutines or open files are left at its end.
func checkLeaks(t *testing.T) {
	t.Helper()
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		for deadline := time.Now().Add(2 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			if runtime.NumGoroutine() <= before {
				return
			}
			if time.Now().After(deadline) {
				buf := make([]byte, 1<<16)
				t.Errorf("%d goroutines are left, %d were there before:\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
				return
			}
		}
	})
}

// pair returns the two ends of a connection.
func pair(t testing.TB, a, b Limits) (*Conn, *Conn) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	nc, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	other, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	ca, cb := NewConn(nc, a), NewConn(other, b)
	t.Cleanup(func() { ca.Close(); cb.Close() })
	return ca, cb
}

func TestConnKeepsOrder(t *testing.T) {
	checkLeaks(t)
	a, b := pair(t, Limits{}, Limits{})
	const senders, each = 4, 500
	var wg sync.WaitGroup
	for s := range senders {
		wg.Go(func() {
			for i := range each {
				size := 10
				if i%100 == 0 {
					size = 3 << 20
				}
				if err := a.Send(&StageBinary{Key: StageKey{s, i}, Program: make([]byte, size)}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	next := [senders]int{}
	for range senders * each {
		m, err := b.Receive()
		if err != nil {
			t.Fatal(err)
		}
		k := m.(*StageBinary).Key
		if k.Attempt != next[k.Stage] {
			t.Fatalf("sender %d: message %d came after %d", k.Stage, k.Attempt, next[k.Stage]-1)
		}
		next[k.Stage]++
	}
	wg.Wait()
	a.CloseAfterFlush(time.Second)
	if _, err := b.Receive(); err != io.EOF {
		t.Errorf("after the end: %v", err)
	}
}

func TestConnFlushesBeforeClose(t *testing.T) {
	checkLeaks(t)
	a, b := pair(t, Limits{}, Limits{})
	for i := range 1000 {
		if err := a.Send(&KillTask{ID: int64(i)}); err != nil {
			t.Fatal(err)
		}
	}
	a.CloseAfterFlush(time.Second)
	for i := range 1000 {
		m, err := b.Receive()
		if err != nil || m.(*KillTask).ID != int64(i) {
			t.Fatalf("message %d: %v, %v", i, m, err)
		}
	}
	if err := a.Send(&Stop{}); err == nil {
		t.Error("a closed connection takes messages")
	}
}

func TestFrameLimit(t *testing.T) {
	checkLeaks(t)
	a, b := pair(t, Limits{MaxFrame: 1000}, Limits{MaxFrame: 100})
	var large *TooLargeError
	if err := a.Send(&Refused{Reason: strings.Repeat("x", 2000)}); !errors.As(err, &large) || large.Limit != 1000 {
		t.Fatalf("a message over the limit: %v", err)
	}
	if err := a.Send(&Refused{Reason: "small"}); err != nil {
		t.Fatalf("after a message over the limit: %v", err)
	}
	if m, err := b.Receive(); err != nil || m.(*Refused).Reason != "small" {
		t.Fatalf("got %v, %v", m, err)
	}
	// The receiver has its own limit and looks at the announced length only.
	if err := a.Send(&Refused{Reason: strings.Repeat("x", 200)}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Receive(); err == nil || !strings.Contains(err.Error(), "maxSize") {
		t.Fatalf("a frame over the receiver's limit: %v", err)
	}
}

// A peer that does not read must not make the driver wait, nor fill its memory.
func TestFullQueueFails(t *testing.T) {
	checkLeaks(t)
	a, _ := pair(t, Limits{MaxFrame: 1 << 20, FailOnFull: true}, Limits{})
	start := time.Now()
	var err error
	for i := 0; i < 100 && err == nil; i++ {
		err = a.Send(&StageBinary{Program: make([]byte, 1<<19)})
	}
	if !errors.Is(err, errFull) || time.Since(start) > time.Second {
		t.Fatalf("after %v: %v", time.Since(start), err)
	}
}

func TestFullQueueWaits(t *testing.T) {
	checkLeaks(t)
	a, b := pair(t, Limits{MaxFrame: 1 << 20}, Limits{})
	sent := make(chan error)
	go func() {
		for range 40 {
			if err := a.Send(&StageBinary{Program: make([]byte, 1<<19)}); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	select {
	case err := <-sent:
		t.Fatalf("20 MiB were taken with nobody reading: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	for range 40 {
		if _, err := b.Receive(); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
}

func TestStalledPeerFails(t *testing.T) {
	checkLeaks(t)
	a, _ := pair(t, Limits{WriteStall: 50 * time.Millisecond}, Limits{})
	if err := a.Send(&StageBinary{Program: make([]byte, 16<<20)}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Receive(); err == nil || !strings.Contains(err.Error(), "write to the peer") {
		t.Fatalf("error %v", err)
	}
}

func TestBadFrames(t *testing.T) {
	for name, frame := range map[string][]byte{
		"garbage":        []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		"unknown kind":   {0, 0, 0, 0, 200},
		"short body":     {10, 0, 0, 0, byte(kindStop), 1, 'x'},
		"malformed body": {1, 0, 0, 0, byte(kindStop), 200},
	} {
		t.Run(name, func(t *testing.T) {
			checkLeaks(t)
			p, q := net.Pipe()
			c := NewConn(p, Limits{})
			defer c.Close()
			go func() { q.Write(frame); q.Close() }()
			if m, err := c.Receive(); err == nil {
				t.Errorf("it is taken for %+v", m)
			}
		})
	}
}

// listener returns a listener that greets whom it accepts with one byte.
func listener(t *testing.T, addr string, secret Secret, log io.Writer) *Listener {
	t.Helper()
	l, err := Listen(addr, secret, Control, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		l.Serve(func(nc net.Conn) { nc.Write([]byte("!")); nc.Close() })
		close(served)
	}()
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		<-served
	})
	return l
}

type syncBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.String()
}

func TestAuthentication(t *testing.T) {
	checkLeaks(t)
	secret := NewSecret()
	for _, addr := range []string{"unix:" + filepath.Join(t.TempDir(), "s"), "tcp:127.0.0.1:0", "tls+unix:" + filepath.Join(t.TempDir(), "s"), "tls+tcp:127.0.0.1:0"} {
		var log syncBuffer
		l := listener(t, addr, secret, &log)
		nc, err := Dial(t.Context(), l.Addr(), secret, Control)
		if err != nil {
			t.Fatal(err)
		}
		var b [1]byte
		if _, err := io.ReadFull(nc, b[:]); err != nil || b[0] != '!' {
			t.Errorf("accepted, but got %q, %v", b, err)
		}
		nc.Close()
		if _, err := Dial(t.Context(), l.Addr(), NewSecret(), Control); !errors.Is(err, ErrRefused) {
			t.Errorf("wrong secret: %v", err)
		}
		if _, err := Dial(t.Context(), l.Addr(), secret, Blocks); !errors.Is(err, ErrRefused) {
			t.Errorf("wrong purpose: %v", err)
		}
		// Who dialled may know before the listener has written it down.
		for began := time.Now(); strings.Count(log.String(), "a peer was refused") < 2; time.Sleep(time.Millisecond) {
			if time.Since(began) > 10*time.Second {
				t.Fatalf("refusals are not logged: %q", log.String())
			}
		}
	}
}

// A peer that knows the protocol but not the secret, and does not mind that the listener's proof is wrong to it, is refused; so is
// one that sends the listener's own proof back.
func TestProofsCannotBeMadeOrReturned(t *testing.T) {
	checkLeaks(t)
	var log syncBuffer
	l := listener(t, "unix:"+filepath.Join(t.TempDir(), "s"), NewSecret(), &log)
	for name, answer := range map[string]func(hello, theirs []byte) []byte{
		"another secret": func(hello, theirs []byte) []byte {
			s := NewSecret()
			return proof(&s, 'D', hello, theirs[:nonceSize], nil)
		},
		"reflection": func(_, theirs []byte) []byte { return theirs[nonceSize:] },
	} {
		nc, err := net.Dial("unix", strings.TrimPrefix(l.Addr(), "unix:"))
		if err != nil {
			t.Fatal(err)
		}
		hello := append([]byte(handshakeMagic), handshakeVersion, byte(Control))
		hello = append(hello, make([]byte, nonceSize)...)
		nc.Write(hello)
		theirs := make([]byte, nonceSize+32)
		if _, err := io.ReadFull(nc, theirs); err != nil {
			t.Fatal(err)
		}
		nc.Write(answer(hello, theirs))
		if n, err := nc.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Errorf("%s: the listener answers", name)
		}
		nc.Close()
	}
}

// Peers that connect and say nothing, or garbage, or one byte at a time, do not keep others out.
func TestBadPeersHoldUpNobody(t *testing.T) {
	checkLeaks(t)
	for _, encrypted := range []bool{false, true} {
		t.Run(fmt.Sprintf("tls=%v", encrypted), func(t *testing.T) { badPeers(t, encrypted) })
	}
}

func badPeers(t *testing.T, encrypted bool) {
	secret := NewSecret()
	var log syncBuffer
	l := listener(t, UnixAddr(filepath.Join(t.TempDir(), "s"), encrypted), secret, &log)
	_, path, _, err := splitAddr(l.Addr())
	if err != nil {
		t.Fatal(err)
	}
	var bad []net.Conn
	for i := range 2*maxPending + 10 {
		nc, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		bad = append(bad, nc)
		switch i % 3 {
		case 1:
			if encrypted {
				nc.Write([]byte{22, 3, 1, 2, 0, 1}) // the beginning of a TLS handshake
			} else {
				nc.Write([]byte("S"))
			}
		case 2:
			nc.Write(bytes.Repeat([]byte("garbage "), 100))
		}
	}
	start := time.Now()
	for range 5 {
		nc, err := Dial(t.Context(), l.Addr(), secret, Control)
		if err != nil {
			t.Fatal(err)
		}
		nc.Close()
	}
	if d := time.Since(start); d > time.Second {
		t.Errorf("a good peer waited %v", d)
	}
	for _, nc := range bad {
		nc.Close()
	}
}

func TestDialIsCancelled(t *testing.T) {
	checkLeaks(t)
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", path) // accepts nothing
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, err := Dial(ctx, "unix:"+path, NewSecret(), Control); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > time.Second {
		t.Errorf("after %v: %v", time.Since(start), err)
	}
}

func TestSecretIsHidden(t *testing.T) {
	s := NewSecret()
	text, err := json.Marshal(struct{ S Secret }{s})
	if err != nil {
		t.Fatal(err)
	}
	var back struct{ S Secret }
	if err := json.Unmarshal(text, &back); err != nil || back.S != s {
		t.Errorf("%s: %v", text, err)
	}
	if err := back.S.UnmarshalText([]byte("c2hvcnQ=")); err == nil {
		t.Error("a short secret is taken")
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "s", s)
	for _, shown := range []string{fmt.Sprint(s), fmt.Sprintf("%v %+v %#v %s", s, s, s, s), log.String()} {
		if !strings.Contains(shown, "(secret)") {
			t.Errorf("a secret is shown: %s", shown)
		}
	}
}

// BenchmarkConn sends batches of tasks one way and results back.
func BenchmarkConn(b *testing.B) {
	for _, n := range []int{1, 16} {
		b.Run(fmt.Sprintf("batch=%d", n), func(b *testing.B) {
			a, peer := pair(b, Limits{}, Limits{})
			go func() {
				for {
					m, err := peer.Receive()
					if err != nil {
						return
					}
					tasks := m.(*LaunchTasks).Tasks
					r := &TaskResults{Results: make([]TaskResult, len(tasks))}
					for i := range tasks {
						r.Results[i].ID = tasks[i].ID
					}
					peer.Send(r)
				}
			}()
			for i := 0; i < b.N; i += n {
				if err := a.Send(&LaunchTasks{Tasks: make([]TaskDesc, n)}); err != nil {
					b.Fatal(err)
				}
				if _, err := a.Receive(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tasks/s")
		})
	}
}
