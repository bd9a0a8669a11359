package blocks

import (
	"context"
	"io"
	"net"
	"testing"
	"time"
)

// FuzzAnswer: whatever a block server answers, the reader gets no more than was sent, an announced length that does not come is an error, and
// nothing panics.
func FuzzAnswer(f *testing.F) {
	f.Add(append(appendAnswer(nil, found, 5), "hello"...))
	f.Add(append(appendAnswer(nil, found, 50), "hello"...))
	f.Add(append(appendAnswer(nil, notFound, 4), "gone"...))
	f.Add(appendAnswer(nil, failed, maxReason+1))
	f.Add(appendAnswer(nil, 77, 0))
	f.Fuzz(func(t *testing.T, sent []byte) {
		ours, theirs := net.Pipe()
		go func() {
			defer theirs.Close()
			_ = theirs.SetDeadline(time.Now().Add(5 * time.Second))
			_, _ = io.ReadFull(theirs, make([]byte, 3))
			_, _ = theirs.Write(sent)
		}()
		client := &Client{config: ClientConfig{Timeout: 5 * time.Second, MaxIdle: 1}, idle: map[string][]net.Conn{}}
		defer client.Close()
		r := &reader{ctx: t.Context(), client: client, addr: "fuzz", nc: ours}
		r.stop = context.AfterFunc(t.Context(), func() { _ = ours.SetDeadline(time.Unix(1, 0)) })
		length, err := r.begin([]byte("ask"))
		if err != nil {
			return
		}
		got, err := io.ReadAll(r)
		r.Close()
		if len(got)+answerSize > len(sent) || err == nil && int64(len(got)) != length {
			t.Fatalf("%d bytes of %d announced and %d sent, %v", len(got), length, len(sent), err)
		}
	})
}
