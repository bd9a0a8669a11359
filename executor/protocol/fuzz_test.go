package protocol

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// script is the other end of a connection: it sends what it was given and takes everything.
type script struct {
	net.Conn // nil: only what is below is called
	in       *bytes.Reader
	written  int
}

func (s *script) Read(p []byte) (int, error)       { return s.in.Read(p) }
func (s *script) Write(p []byte) (int, error)      { s.written += len(p); return len(p), nil }
func (s *script) Close() error                     { return nil }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }

// FuzzHandshake: whatever somebody without the secret sends to either side, it is not let in.
func FuzzHandshake(f *testing.F) {
	secret, other := NewSecret(), NewSecret()
	hello := append([]byte(handshakeMagic), handshakeVersion, byte(Control))
	hello = append(hello, make([]byte, nonceSize)...)
	f.Add(hello)
	f.Add(append(bytes.Clone(hello), proof(&other, 'D', hello, hello[:nonceSize], nil)...))
	f.Add(append(make([]byte, nonceSize), proof(&other, 'A', hello, make([]byte, nonceSize), nil)...))
	f.Fuzz(func(t *testing.T, sent []byte) {
		if proveListener(&script{in: bytes.NewReader(sent)}, &secret, Control, nil) == nil {
			t.Fatal("the listener lets it in")
		}
		if proveDialler(&script{in: bytes.NewReader(sent)}, &secret, Control, nil) == nil {
			t.Fatal("the dialler takes it for the application")
		}
	})
}

// FuzzReceive: whatever frames a peer sends, they are messages or an error, nothing panics, and no message holds more than was sent.
func FuzzReceive(f *testing.F) {
	var all []byte
	for _, m := range samples() {
		body := encode(m)
		frame := append([]byte{byte(len(body) - 1), byte((len(body) - 1) >> 8), 0, 0}, body...)
		f.Add(frame)
		all = append(all, frame...)
	}
	f.Add(all)
	f.Add([]byte{255, 255, 255, 127, 1})
	f.Fuzz(func(t *testing.T, sent []byte) {
		c := NewConn(&script{in: bytes.NewReader(sent)}, Limits{MaxFrame: 1 << 20})
		defer c.Close()
		for n := 0; ; n++ {
			_, err := c.Receive()
			if err != nil {
				if len(sent) == 0 && !errors.Is(err, io.EOF) {
					t.Errorf("nothing gives %v", err)
				}
				return
			}
			if n > len(sent) {
				t.Fatal("more messages than bytes")
			}
		}
	})
}
