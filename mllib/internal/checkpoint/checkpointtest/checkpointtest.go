// Package checkpointtest interrupts fits at chosen moments, for the tests of trainers: fits tell the log how far they are.
package checkpointtest

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
)

// ErrInterrupted is why an interrupted fit ends.
var ErrInterrupted = errors.New("interrupted by the test")

// Log listens to the log until the test ends.
type Log struct {
	slog.Handler
	key string

	mu      sync.Mutex
	at      int64
	cancel  context.CancelCauseFunc
	resumed int64
}

// Listen takes over the log. key is the attribute that says how far a fit is: "iteration", "trees".
func Listen(t testing.TB, key string) *Log {
	t.Helper()
	old := slog.Default()
	l := &Log{Handler: slog.DiscardHandler, key: key}
	slog.SetDefault(slog.New(l))
	t.Cleanup(func() { slog.SetDefault(old) })
	return l
}

// Interrupt returns a context that is cancelled as soon as a fit has come to n or further.
func (l *Log) Interrupt(ctx context.Context, n int) context.Context {
	ctx, cancel := context.WithCancelCause(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at, l.cancel = int64(n), cancel
	return ctx
}

// Resumed returns where the last fit went on, or -1 if none did since the last call.
func (l *Log) Resumed() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.resumed
	l.resumed = 0
	if n == 0 {
		return -1
	}
	return int(n)
}

// Enabled implements slog.Handler.
func (l *Log) Enabled(context.Context, slog.Level) bool { return true }

// WithAttrs implements slog.Handler.
func (l *Log) WithAttrs([]slog.Attr) slog.Handler { return l }

// WithGroup implements slog.Handler.
func (l *Log) WithGroup(string) slog.Handler { return l }

// Handle implements slog.Handler.
func (l *Log) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	r.Attrs(func(a slog.Attr) bool {
		if a.Key != l.key {
			return true
		}
		n := a.Value.Int64()
		if strings.Contains(r.Message, "going on from a checkpoint") {
			l.resumed = n
		} else if l.cancel != nil && n >= l.at {
			l.cancel(ErrInterrupted)
			l.cancel = nil
		}
		return false
	})
	return nil
}
