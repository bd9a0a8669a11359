package host

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/spark-go/spark-go/executor/protocol"
)

// logHandler sends records to the driver, which logs them. Records below Info stay here.
type logHandler struct {
	send   func(*protocol.Log)
	prefix string // of keys: the open groups
	attrs  string // as text
}

// Enabled reports whether records of the level are sent.
func (h *logHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo
}

// Handle sends a record as one text.
func (h *logHandler) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	b.WriteString(r.Message)
	b.WriteString(h.attrs)
	r.Attrs(func(a slog.Attr) bool {
		writeAttr(&b, h.prefix, a)
		return true
	})
	h.send(&protocol.Log{Time: r.Time, Level: int(r.Level), Text: b.String()})
	return nil
}

// WithAttrs returns a handler that adds attributes to each record.
func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	var b strings.Builder
	b.WriteString(h.attrs)
	for _, a := range attrs {
		writeAttr(&b, h.prefix, a)
	}
	return &logHandler{send: h.send, prefix: h.prefix, attrs: b.String()}
}

// WithGroup returns a handler that puts a name before each key.
func (h *logHandler) WithGroup(name string) slog.Handler {
	return &logHandler{send: h.send, prefix: h.prefix + name + ".", attrs: h.attrs}
}

func writeAttr(b *strings.Builder, prefix string, a slog.Attr) {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			prefix += a.Key + "."
		}
		for _, g := range v.Group() {
			writeAttr(b, prefix, g)
		}
		return
	}
	fmt.Fprintf(b, " %s%s=%q", prefix, a.Key, v.String())
}
