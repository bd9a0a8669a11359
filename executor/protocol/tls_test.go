package protocol

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// tap passes connections on to a listener, may change what the dialling side sends, and keeps what it saw.
type tap struct {
	addr   string
	change func(offset int, b []byte) []byte // of the diallers' bytes; nil to end the connection
	mu     sync.Mutex
	up     []byte // from the dialler of the last connection
	seen   []byte // all, both ways
	ln     net.Listener
	conns  []net.Conn
	wg     sync.WaitGroup
}

// tapped puts a tap before an address and returns the address to dial instead.
func tapped(t testing.TB, to string, change func(int, []byte) []byte) (*tap, string) {
	t.Helper()
	network, address, encrypted, err := splitAddr(to)
	if err != nil {
		t.Fatal(err)
	}
	p := &tap{addr: address, change: change}
	path := filepath.Join(t.TempDir(), "tap")
	if p.ln, err = net.Listen("unix", path); err != nil {
		t.Fatal(err)
	}
	p.wg.Go(func() {
		for {
			in, err := p.ln.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial(network, address)
			if err != nil {
				in.Close()
				continue
			}
			p.mu.Lock()
			p.up = nil
			p.conns = append(p.conns, in, out)
			p.mu.Unlock()
			p.wg.Go(func() { p.pass(in, out, true) })
			p.wg.Go(func() { p.pass(out, in, false) })
		}
	})
	t.Cleanup(func() {
		p.ln.Close()
		p.mu.Lock()
		for _, c := range p.conns {
			c.Close()
		}
		p.mu.Unlock()
		p.wg.Wait()
	})
	return p, UnixAddr(path, encrypted)
}

func (p *tap) pass(from, to net.Conn, up bool) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 32<<10)
	offset := 0
	for {
		n, err := from.Read(buf)
		b := buf[:n]
		p.mu.Lock()
		p.seen = append(p.seen, b...)
		if up {
			p.up = append(p.up, b...)
		}
		p.mu.Unlock()
		if up && p.change != nil && n > 0 {
			if b = p.change(offset, b); b == nil {
				return
			}
		}
		offset += n
		if _, werr := to.Write(b); err != nil || werr != nil {
			return
		}
	}
}

func (p *tap) recorded() (up, seen []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return bytes.Clone(p.up), bytes.Clone(p.seen)
}

// collector is a listener that keeps the reasons of all Refused messages it gets.
func collector(t *testing.T, addr string, secret Secret, log io.Writer) (*Listener, func() []string) {
	t.Helper()
	l, err := Listen(addr, secret, Control, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var got []string
	var running sync.WaitGroup
	running.Go(func() {
		l.Serve(func(nc net.Conn) {
			c := NewConn(nc, Limits{})
			defer c.Close()
			_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
			for {
				m, err := c.Receive()
				if err != nil {
					return
				}
				mu.Lock()
				got = append(got, m.(*Refused).Reason)
				mu.Unlock()
				_ = c.Send(m)
			}
		})
	})
	t.Cleanup(func() {
		l.Close()
		running.Wait()
	})
	return l, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return append([]string(nil), got...)
	}
}

// talk sends one message and waits for its echo.
func talk(t *testing.T, addr string, secret Secret, text string) error {
	t.Helper()
	nc, err := Dial(t.Context(), addr, secret, Control)
	if err != nil {
		return err
	}
	c := NewConn(nc, Limits{})
	defer c.Close()
	if err := c.Send(&Refused{Reason: text}); err != nil {
		return err
	}
	if err := c.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	m, err := c.Receive()
	if err != nil {
		return err
	}
	if got := m.(*Refused).Reason; got != text {
		t.Errorf("%d bytes came back as %d others", len(text), len(got))
	}
	return nil
}

// What travels cannot be read where the address says so, and can where it does not: the tap sees it.
func TestPlaintextIsNeverOnAnEncryptedWire(t *testing.T) {
	checkLeaks(t)
	marker := strings.Repeat("the marker ", 20000)
	for _, encrypted := range []bool{false, true} {
		secret := NewSecret()
		l, _ := collector(t, UnixAddr(filepath.Join(t.TempDir(), "s"), encrypted), secret, io.Discard)
		p, addr := tapped(t, l.Addr(), nil)
		if err := talk(t, addr, secret, marker); err != nil {
			t.Fatal(err)
		}
		_, seen := p.recorded()
		if len(seen) < len(marker) {
			t.Fatalf("the tap saw %d bytes", len(seen))
		}
		if bytes.Contains(seen, []byte("the marker")) == encrypted {
			t.Errorf("encrypted %v: the marker was seen: %v", encrypted, !encrypted)
		}
		if bytes.Contains(seen, secret[:]) {
			t.Error("the secret was sent")
		}
	}
}

// foreignCertificate is a certificate that somebody made, with all names right.
func foreignCertificate(t *testing.T) tls.Certificate {
	t.Helper()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{tlsName}, NotBefore: time.Unix(0, 0), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestEncryptedListenersRefuseStrangers(t *testing.T) {
	checkLeaks(t)
	secret := NewSecret()
	var log syncBuffer
	l, got := collector(t, "tls+tcp:127.0.0.1:0", secret, &log)
	raw := func() net.Conn {
		nc, err := net.Dial("tcp", strings.TrimPrefix(l.Addr(), "tls+tcp:"))
		if err != nil {
			t.Fatal(err)
		}
		_ = nc.SetDeadline(time.Now().Add(10 * time.Second))
		return nc
	}
	own, err := TLSConfig(&secret)
	if err != nil {
		t.Fatal(err)
	}
	// A good session, recorded byte for byte.
	p, addr := tapped(t, l.Addr(), nil)
	if err := talk(t, addr, secret, "recorded"); err != nil {
		t.Fatal(err)
	}
	recording, _ := p.recorded()
	before := len(got())

	tests := []struct {
		name string
		try  func() error
		log  string // what the listener says of it
	}{
		{"no TLS", func() error {
			_, err := Dial(t.Context(), strings.TrimPrefix(l.Addr(), "tls+"), secret, Control)
			return err
		}, "does not look like a TLS handshake"},
		{"another secret", func() error {
			_, err := Dial(t.Context(), l.Addr(), NewSecret(), Control)
			if !errors.Is(err, ErrRefused) {
				t.Errorf("another application's listener gives %v, which is no ErrRefused", err)
			}
			return err
		}, ""},
		{"no certificate", func() error {
			c := tls.Client(raw(), &tls.Config{RootCAs: own.RootCAs, ServerName: tlsName})
			defer c.Close()
			return proveDialler(c, &secret, Control, nil)
		}, "client didn't provide a certificate"},
		{"another certificate", func() error {
			foreign := foreignCertificate(t)
			c := tls.Client(raw(), &tls.Config{
				RootCAs: own.RootCAs, ServerName: tlsName,
				GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &foreign, nil },
			})
			defer c.Close()
			return proveDialler(c, &secret, Control, nil)
		}, "certificate signed by unknown authority"},
		{"an older TLS", func() error {
			config := own.Clone()
			config.MinVersion, config.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
			c := tls.Client(raw(), config)
			defer c.Close()
			return c.Handshake()
		}, "unsupported versions"},
		{"a proof for no connection", func() error {
			c := tls.Client(raw(), own)
			defer c.Close()
			hello := append([]byte(handshakeMagic), handshakeVersion, byte(Control))
			hello = append(hello, make([]byte, nonceSize)...)
			if _, err := c.Write(hello); err != nil {
				return err
			}
			theirs := make([]byte, nonceSize+32)
			if _, err := io.ReadFull(c, theirs); err != nil {
				return err
			}
			if _, err := c.Write(proof(&secret, 'D', hello, theirs[:nonceSize], nil)); err != nil {
				return err
			}
			_, err := io.ReadFull(c, make([]byte, 1))
			return err
		}, "does not know the application's secret"},
		{"replayed bytes", func() error {
			nc := raw()
			defer nc.Close()
			if _, err := nc.Write(recording); err != nil {
				return err
			}
			answer, err := io.ReadAll(nc)
			if err == nil && bytes.Contains(answer, []byte("recorded")) {
				return nil
			}
			return fmt.Errorf("%d bytes came back, %w", len(answer), err)
		}, "bad record MAC"},
	}
	for _, test := range tests {
		start := time.Now()
		if err := test.try(); err == nil {
			t.Errorf("%s: it is let in", test.name)
		}
		for !strings.Contains(log.String(), test.log) && time.Since(start) < 5*time.Second {
			time.Sleep(time.Millisecond)
		}
		if !strings.Contains(log.String(), test.log) {
			t.Errorf("%s: not logged as %q:\n%s", test.name, test.log, log.String())
		}
		if d := time.Since(start); d > 2*time.Second {
			t.Errorf("%s: it took %v", test.name, d)
		}
	}
	if n := len(got()) - before; n != 0 {
		t.Errorf("%d messages of strangers came through", n)
	}
	if n := strings.Count(log.String(), "a peer was refused"); n < len(tests) {
		t.Errorf("%d refusals of %d are logged", n, len(tests))
	}
	if err := talk(t, l.Addr(), secret, "a good one"); err != nil {
		t.Error(err)
	}
}

// A dialler finds out as well: who listens on a stolen port has neither the certificate nor anything to read.
func TestDiallersRefuseStrangers(t *testing.T) {
	checkLeaks(t)
	for name, config := range map[string]*tls.Config{
		"another certificate": {Certificates: []tls.Certificate{foreignCertificate(t)}},
		"no TLS":              nil,
	} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		var got []byte
		done := make(chan struct{})
		go func() {
			defer close(done)
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			defer nc.Close()
			_ = nc.SetDeadline(time.Now().Add(5 * time.Second))
			if config != nil {
				nc = tls.Server(nc, config)
			} else {
				_, _ = nc.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
			}
			got, _ = io.ReadAll(nc)
		}()
		_, err = Dial(t.Context(), "tls+tcp:"+ln.Addr().String(), NewSecret(), Control)
		if !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
		ln.Close()
		<-done
		if bytes.Contains(got, []byte(handshakeMagic)) {
			t.Errorf("%s: the dialler went on to the proof", name)
		}
	}
}

// Wherever a bit of a connection is changed or the connection is cut, the message arrives as it was sent or not at all, and soon.
func TestDamageIsNoticed(t *testing.T) {
	checkLeaks(t)
	secret := NewSecret()
	l, got := collector(t, UnixAddr(filepath.Join(t.TempDir(), "s"), true), secret, io.Discard)
	text := strings.Repeat("as it was sent ", 100)
	p, addr := tapped(t, l.Addr(), nil)
	if err := talk(t, addr, secret, text); err != nil {
		t.Fatal(err)
	}
	up, _ := p.recorded()
	damage := map[string]func(at int) func(int, []byte) []byte{
		"a flipped bit": func(at int) func(int, []byte) []byte {
			return func(offset int, b []byte) []byte {
				if i := at - offset; i >= 0 && i < len(b) {
					b[i] ^= 4
				}
				return b
			}
		},
		"a cut": func(at int) func(int, []byte) []byte {
			return func(offset int, b []byte) []byte {
				if at < offset+len(b) {
					return nil
				}
				return b
			}
		},
	}
	step := max(len(up)/12, 1)
	for name, change := range damage {
		for at := 7; at < len(up)-50; at += step {
			before := len(got())
			_, addr := tapped(t, l.Addr(), change(at))
			start := time.Now()
			if err := talk(t, addr, secret, text); err == nil {
				t.Errorf("%s at byte %d of %d: nobody noticed", name, at, len(up))
			}
			if d := time.Since(start); d > HandshakeTimeout+time.Second {
				t.Errorf("%s at byte %d: noticed after %v", name, at, d)
			}
			for _, s := range got()[before:] {
				if s != text {
					t.Errorf("%s at byte %d: another message arrived", name, at)
				}
			}
		}
	}
	if err := talk(t, l.Addr(), secret, text); err != nil {
		t.Error(err)
	}
}

// A peer that reads nothing does not hold up who closes the connection.
func TestEncryptedConnectionsCloseAtOnce(t *testing.T) {
	checkLeaks(t)
	secret := NewSecret()
	accepted := make(chan net.Conn, 1)
	l, err := Listen(UnixAddr(filepath.Join(t.TempDir(), "s"), true), secret, Control, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go l.Serve(func(nc net.Conn) { accepted <- nc })
	nc, err := Dial(t.Context(), l.Addr(), secret, Control)
	if err != nil {
		t.Fatal(err)
	}
	peer := <-accepted
	defer peer.Close()
	// The connection is full, so that not even the word that it ends goes through.
	raw := nc.(*secureConn).raw
	_ = raw.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
	for err == nil {
		_, err = raw.Write(make([]byte, 64<<10))
	}
	start := time.Now()
	nc.Close()
	if d := time.Since(start); d > time.Second {
		t.Errorf("closing took %v", d)
	}
}

// BenchmarkDial is what a new connection costs both sides.
func BenchmarkDial(b *testing.B) {
	for _, encrypted := range []bool{false, true} {
		b.Run(fmt.Sprintf("tls=%v", encrypted), func(b *testing.B) {
			secret := NewSecret()
			l, err := Listen(UnixAddr(filepath.Join(b.TempDir(), "s"), encrypted), secret, Control, slog.New(slog.DiscardHandler))
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			go l.Serve(func(nc net.Conn) { nc.Close() })
			for b.Loop() {
				nc, err := Dial(b.Context(), l.Addr(), secret, Control)
				if err != nil {
					b.Fatal(err)
				}
				nc.Close()
			}
		})
	}
}
