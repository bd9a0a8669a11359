package protocol

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"
)

// Secret is what the processes of one application know and nobody else does. It travels through inherited pipes and files
// of the application's private folder, never on a command line or in the environment.
type Secret [32]byte

// NewSecret returns a random secret.
func NewSecret() Secret {
	var s Secret
	_, _ = rand.Read(s[:]) // never fails, as its documentation says
	return s
}

// String hides the secret from logs.
func (Secret) String() string { return "(secret)" }

// GoString hides the secret from logs.
func (Secret) GoString() string { return "(secret)" }

// LogValue hides the secret from logs.
func (Secret) LogValue() slog.Value { return slog.StringValue("(secret)") }

// MarshalText writes the secret in base64.
func (s Secret) MarshalText() ([]byte, error) {
	return base64.StdEncoding.AppendEncode(nil, s[:]), nil
}

// UnmarshalText reads what MarshalText wrote.
func (s *Secret) UnmarshalText(text []byte) error {
	b, err := base64.StdEncoding.AppendDecode(nil, text)
	if err != nil {
		return fmt.Errorf("read secret: %w", err)
	}
	if len(b) != len(s) {
		return fmt.Errorf("read secret: it has %d bytes, not %d", len(b), len(s))
	}
	copy(s[:], b)
	return nil
}

// Purpose is what a connection is for. A proof for one purpose is none for another.
type Purpose byte

// The purposes.
const (
	Control Purpose = 'c' // messages between driver, hosts and executors
	Blocks  Purpose = 'b' // blocks of data
)

// The handshake, before anything else on a connection; the side that dialled is D, the one that accepted is A:
//
//	D to A: "SPGO", version, purpose, nonce of D
//	A to D: nonce of A, HMAC(secret, "A", version, purpose, both nonces, binding)
//	D to A: HMAC(secret, "D", version, purpose, both nonces, binding)
//	A to D: one byte, 1
//
// Each side proves that it knows the secret without showing it; the labels keep a proof from being sent back to whoever made it,
// the nonces keep it from being used again. The binding is a value of the TLS connection that all this runs in, and empty where there is
// none: on unix sockets and loopback, unless they are to be encrypted too. There what follows is neither encrypted nor signed.
const (
	handshakeMagic   = "SPGO"
	handshakeVersion = 1
	nonceSize        = 16
	helloSize        = len(handshakeMagic) + 2 + nonceSize
	// HandshakeTimeout is how long a peer may take for the handshake.
	HandshakeTimeout = 5 * time.Second
)

// ErrRefused is wrapped by errors of Dial when the two sides do not belong together; trying again is of no use.
var ErrRefused = errors.New("refused")

func proof(secret *Secret, label byte, hello, nonce, binding []byte) []byte {
	h := hmac.New(sha256.New, secret[:])
	h.Write([]byte{label})
	h.Write(hello)
	h.Write(nonce)
	h.Write(binding)
	return h.Sum(nil)
}

// proveDialler is the dialling side's part of the handshake.
func proveDialler(nc net.Conn, secret *Secret, purpose Purpose, binding []byte) error {
	hello := make([]byte, 0, helloSize)
	hello = append(hello, handshakeMagic...)
	hello = append(hello, handshakeVersion, byte(purpose))
	hello = hello[:helloSize]
	_, _ = rand.Read(hello[helloSize-nonceSize:])
	if _, err := nc.Write(hello); err != nil {
		return fmt.Errorf("send handshake: %w", err)
	}
	var answer [nonceSize + sha256.Size]byte
	if _, err := io.ReadFull(nc, answer[:]); err != nil {
		return fmt.Errorf("read the answer to the handshake: %w", orRefused(err))
	}
	nonce, mac := answer[:nonceSize], answer[nonceSize:]
	if !hmac.Equal(mac, proof(secret, 'A', hello, nonce, binding)) {
		return fmt.Errorf("%w: who listens there does not know the application's secret: the address is that of another application", ErrRefused)
	}
	if _, err := nc.Write(proof(secret, 'D', hello, nonce, binding)); err != nil {
		return fmt.Errorf("send proof: %w", err)
	}
	var ok [1]byte
	if _, err := io.ReadFull(nc, ok[:]); err != nil {
		return fmt.Errorf("read the answer to the proof: %w", orRefused(err))
	}
	if ok[0] != 1 {
		return fmt.Errorf("%w: unknown answer %d to the proof", ErrRefused, ok[0])
	}
	return nil
}

// orRefused takes an orderly end of the connection in the middle of the handshake for what it is.
func orRefused(err error) error {
	if err == io.EOF {
		return fmt.Errorf("%w: the other side closed the connection", ErrRefused)
	}
	return err
}

// proveListener is the accepting side's part of the handshake.
func proveListener(nc net.Conn, secret *Secret, purpose Purpose, binding []byte) error {
	var hello [helloSize]byte
	if _, err := io.ReadFull(nc, hello[:]); err != nil {
		return fmt.Errorf("read handshake: %w", err)
	}
	switch {
	case string(hello[:len(handshakeMagic)]) != handshakeMagic:
		return errors.New("read handshake: the peer does not speak this protocol")
	case hello[len(handshakeMagic)] != handshakeVersion:
		return fmt.Errorf("read handshake: the peer speaks version %d of the protocol, this is version %d: both sides must run the same release", hello[len(handshakeMagic)], handshakeVersion)
	case Purpose(hello[len(handshakeMagic)+1]) != purpose:
		return fmt.Errorf("read handshake: the peer wants %q, this is %q", hello[len(handshakeMagic)+1], byte(purpose))
	}
	answer := make([]byte, nonceSize, nonceSize+sha256.Size)
	_, _ = rand.Read(answer)
	want := proof(secret, 'D', hello[:], answer, binding)
	if _, err := nc.Write(append(answer, proof(secret, 'A', hello[:], answer, binding)...)); err != nil {
		return fmt.Errorf("answer handshake: %w", err)
	}
	var mac [sha256.Size]byte
	if _, err := io.ReadFull(nc, mac[:]); err != nil {
		return fmt.Errorf("read proof: %w", err)
	}
	if !hmac.Equal(mac[:], want) {
		return errors.New("the peer does not know the application's secret")
	}
	if _, err := nc.Write([]byte{1}); err != nil {
		return fmt.Errorf("answer proof: %w", err)
	}
	return nil
}
