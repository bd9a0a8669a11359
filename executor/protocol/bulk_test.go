package protocol

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// countedConn counts calls.
type countedConn struct {
	net.Conn
	writes, reads atomic.Int64
}

func (c *countedConn) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

func (c *countedConn) Read(p []byte) (int, error) {
	c.reads.Add(1)
	return c.Conn.Read(p)
}

// securedPair is both ends of an encrypted connection for blocks over a unix socket, and what lies below them.
func securedPair(t *testing.T) (client, server net.Conn, below [2]*countedConn) {
	t.Helper()
	secret := NewSecret()
	config, err := TLSConfig(&secret)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	dialled, err := net.Dial("unix", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	below = [2]*countedConn{{Conn: dialled}, {Conn: accepted}}
	done := make(chan error, 1)
	go func() {
		var err error
		server, _, err = secured(below[1], Blocks, tls.Server, config)
		done <- err
	}()
	if client, _, err = secured(below[0], Blocks, tls.Client, config); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); server.Close() })
	return client, server, below
}

// Whatever is written in whatever pieces arrives, in both directions at once, with few calls, and idle connections hold no buffers.
func TestBulkConnections(t *testing.T) {
	client, server, below := securedPair(t)
	data := make([]byte, 3<<20)
	r := rand.New(rand.NewPCG(4, 2))
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	errs := make(chan error, 4)
	for _, ends := range [][2]net.Conn{{client, server}, {server, client}} {
		seed := r.Uint64()
		go func() {
			sizes := rand.New(rand.NewPCG(seed, 0))
			for rest := data; len(rest) > 0; {
				n := min(1+sizes.IntN(1<<sizes.IntN(21)), len(rest))
				if m, err := ends[0].Write(rest[:n]); m != n || err != nil {
					errs <- err
					return
				}
				rest = rest[n:]
			}
			errs <- nil
		}()
		go func() {
			got := make([]byte, len(data))
			_, err := io.ReadFull(ends[1], got)
			if err == nil && !bytes.Equal(got, data) {
				err = errors.New("other bytes arrived")
			}
			errs <- err
		}()
	}
	for range 4 {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	below[0].writes.Store(0)
	below[1].reads.Store(0)
	go func() {
		_, err := client.Write(data)
		errs <- err
	}()
	if _, err := io.ReadFull(server, make([]byte, len(data))); err != nil {
		t.Fatal(err)
	}
	if err := <-errs; err != nil {
		t.Fatal(err)
	}
	if n := below[0].writes.Load(); n > int64(len(data)/bulkSize+2) {
		t.Errorf("%d writes for %d records", n, len(data)/maxRecord)
	}
	for _, c := range []net.Conn{client, server} {
		if b := c.(*secureConn).bulk; b.buf != nil || b.held != nil {
			t.Error("an idle connection holds a buffer")
		}
	}
}

// A write that failed half way leaves nothing that could be taken for data: the connection is of no use any more.
func TestBulkWriteFails(t *testing.T) {
	client, _, _ := securedPair(t)
	if err := client.SetWriteDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	data := make([]byte, 8<<20)
	if _, err := client.Write(data); !errors.Is(err, os.ErrDeadlineExceeded) { // nobody reads
		t.Fatalf("a peer that does not read: %v", err)
	}
	if err := client.SetWriteDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{1, len(data)} {
		if _, err := client.Write(data[:n]); err == nil {
			t.Errorf("%d bytes were written after a failure", n)
		}
	}
}
