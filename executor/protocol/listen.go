package protocol

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"time"
)

// MaxUnixPath is the longest path of a socket that all supported systems take.
const MaxUnixPath = 103

// maxPending is how many connections may be in the handshake at a time; one more ends the oldest of them, so that peers which
// never finish it cannot keep others out.
const maxPending = 64

// The beginnings of addresses.
const (
	tlsPrefix  = "tls+"
	unixPrefix = "unix:"
	tcpPrefix  = "tcp:"
)

// UnixAddr is the address of a socket in the file system, for Listen and Dial; encrypted says whether its connections are.
func UnixAddr(path string, encrypted bool) string { return prefix(encrypted) + unixPrefix + path }

// TCPAddr is the address of any free port of a host, given by its IP address, for Listen. Its connections are encrypted unless encrypted
// is false and the host is this machine's loopback.
func TCPAddr(host string, encrypted bool) string {
	return prefix(encrypted || !isLoopback(host)) + tcpPrefix + net.JoinHostPort(host, "0")
}

func prefix(encrypted bool) string {
	if encrypted {
		return tlsPrefix
	}
	return ""
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// MachineOf is the machine of an address, by name or IP address: "localhost" for sockets in the file system.
func MachineOf(addr string) string {
	network, address, _, err := splitAddr(addr)
	if err != nil || network != "tcp" {
		return "localhost"
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return "localhost"
	}
	return host
}

// splitAddr takes an address apart: "unix:/path" or "tcp:host:port", with "tls+" before it if connections are encrypted. Others
// than those of one machine must be.
func splitAddr(addr string) (network, address string, encrypted bool, err error) {
	rest, encrypted := strings.CutPrefix(addr, tlsPrefix)
	network, address, ok := strings.Cut(rest, ":")
	switch {
	case ok && network == "unix" && address != "":
		if len(address) > MaxUnixPath {
			return "", "", false, fmt.Errorf("address %q: the path of a socket has at most %d bytes: use a shorter folder", addr, MaxUnixPath)
		}
		return network, address, encrypted, nil
	case ok && network == "tcp" && address != "":
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return "", "", false, fmt.Errorf("address %q: %w", addr, err)
		}
		if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
			return "", "", false, fmt.Errorf("address %q: it stands for every network of the machine: name the one address that peers dial", addr)
		}
		if !encrypted && !isLoopback(host) {
			return "", "", false, fmt.Errorf("address %q: connections between hosts are encrypted: write %s%s", addr, tlsPrefix, addr)
		}
		return network, address, encrypted, nil
	}
	return "", "", false, fmt.Errorf("address %q: it is neither unix:/path nor tcp:host:port, or one of them after tls+", addr)
}

// Dial connects to a Listener of the same application and purpose.
func Dial(ctx context.Context, addr string, secret Secret, purpose Purpose) (net.Conn, error) {
	network, address, encrypted, err := splitAddr(addr)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, HandshakeTimeout)
	defer cancel()
	var d net.Dialer
	nc, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", addr, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })
	conn, err := introduce(nc, &secret, purpose, encrypted)
	if !stop() {
		err = ctx.Err()
	}
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("dial %s: %w", addr, err)
	}
	return conn, nil
}

// introduce is the dialling side's part of all handshakes.
func introduce(nc net.Conn, secret *Secret, purpose Purpose, encrypted bool) (net.Conn, error) {
	var binding []byte
	if encrypted {
		config, err := TLSConfig(secret)
		if err != nil {
			return nil, err
		}
		if nc, binding, err = secured(nc, purpose, tls.Client, config); err != nil {
			if foreign(err) {
				err = fmt.Errorf("%w: %w: who listens there does not belong to this application", ErrRefused, err)
			}
			return nil, fmt.Errorf("TLS handshake: %w", orRefused(err))
		}
	}
	if err := proveDialler(nc, secret, purpose, binding); err != nil {
		return nil, err
	}
	return nc, nil
}

// Listener accepts connections of peers that prove the application's secret.
type Listener struct {
	addr    string
	ln      net.Listener
	secret  Secret
	purpose Purpose
	tls     *tls.Config // nil for connections that are not encrypted
	log     *slog.Logger

	mu      sync.Mutex
	closed  bool
	pending []net.Conn // in the handshake, oldest first
	running sync.WaitGroup
}

// Listen listens on an address: "unix:/path", which must not exist, or "tcp:host:port" with a host of this machine's loopback; after
// "tls+", either with any host, connections are encrypted. Refused peers are logged to log.
func Listen(addr string, secret Secret, purpose Purpose, log *slog.Logger) (*Listener, error) {
	network, address, encrypted, err := splitAddr(addr)
	if err != nil {
		return nil, err
	}
	l := &Listener{addr: addr, secret: secret, purpose: purpose, log: log}
	if encrypted {
		if l.tls, err = TLSConfig(&secret); err != nil {
			return nil, fmt.Errorf("listen on %s: %w", addr, err)
		}
	}
	ln, err := net.Listen(network, address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	if network == "unix" {
		if err := os.Chmod(address, 0o600); err != nil {
			_ = ln.Close()
			return nil, fmt.Errorf("listen on %s: %w", addr, err)
		}
	} else {
		l.addr = prefix(encrypted) + tcpPrefix + ln.Addr().String()
	}
	l.ln = ln
	return l, nil
}

// Addr returns the address in the form that Dial takes, with the port that was chosen.
func (l *Listener) Addr() string { return l.addr }

// Serve accepts connections and calls handle for each in its own goroutine, until Close. The connection is handle's.
func (l *Listener) Serve(handle func(net.Conn)) {
	delay := time.Duration(0)
	for {
		nc, err := l.ln.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			// Such as too many open files: it passes when others close theirs.
			delay = min(max(2*delay, 5*time.Millisecond), time.Second)
			l.log.Warn("a connection could not be accepted", "address", l.addr, "error", err, "retry", delay)
			time.Sleep(delay)
			continue
		}
		delay = 0
		if !l.begin(nc) {
			nc.Close()
			return
		}
		go l.admit(nc, handle)
	}
}

// begin notes a connection that starts its handshake; it reports false when the listener is closed.
func (l *Listener) begin(nc net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	if len(l.pending) >= maxPending {
		l.log.Warn("too many peers are in the handshake: the oldest is refused", "address", l.addr, "pending", len(l.pending))
		l.pending[0].Close()
		l.pending = l.pending[1:]
	}
	l.pending = append(l.pending, nc)
	l.running.Add(1)
	return true
}

// examine is the accepting side's part of all handshakes.
func (l *Listener) examine(nc net.Conn) (net.Conn, error) {
	if err := nc.SetDeadline(time.Now().Add(HandshakeTimeout)); err != nil {
		return nil, err
	}
	var binding []byte
	if l.tls != nil {
		var err error
		if nc, binding, err = secured(nc, l.purpose, tls.Server, l.tls); err != nil {
			return nil, fmt.Errorf("TLS handshake: %w", err)
		}
	}
	return nc, proveListener(nc, &l.secret, l.purpose, binding)
}

func (l *Listener) admit(nc net.Conn, handle func(net.Conn)) {
	conn, err := l.examine(nc)
	if err == nil {
		err = nc.SetDeadline(time.Time{})
	}
	l.mu.Lock()
	for i, p := range l.pending {
		if p == nc {
			l.pending = append(l.pending[:i], l.pending[i+1:]...)
			break
		}
	}
	closed := l.closed
	l.mu.Unlock()
	l.running.Done()
	if err != nil || closed {
		nc.Close()
		if !closed {
			l.log.Warn("a peer was refused", "address", l.addr, "peer", nc.RemoteAddr().String(), "error", err)
		}
		return
	}
	handle(conn)
}

// Close stops accepting and ends handshakes that are under way; connections that were handed over are not touched. A socket's
// file is removed.
func (l *Listener) Close() error {
	l.mu.Lock()
	l.closed = true
	for _, nc := range l.pending {
		nc.Close()
	}
	l.mu.Unlock()
	err := l.ln.Close()
	l.running.Wait()
	return err
}
