package protocol

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"sync"
	"time"
)

// Connections of addresses that begin with "tls+" are encrypted with TLS 1.3. There is nothing to configure and nothing to hand on
// but the secret: the key of the application's only certificate is derived from it, each process makes both for itself, shows them to
// whoever it talks to, and talks to nobody who does not show the same. No authority of the system is asked. So knowing
// the secret is being a member, as without TLS; a peer with the certificate of another application, or with none, fails in the handshake.
//
// The proof of the secret (see Purpose) is made inside, over a value that both ends export from this one TLS connection, so that it is
// none for any other connection. Sessions are not resumed and nothing is sent before the handshake has ended: recorded bytes are of
// no use.

// tlsName is the name in the certificate. It is not looked up.
const tlsName = "spark-go"

// maxRecord is how much a TLS record carries.
const maxRecord = 16 << 10

// bindingSize is the length of what a proof takes from its TLS connection.
const bindingSize = 32

// TLSConfig is the configuration of both ends of a connection between processes that know the secret, and talk to nobody who does not.
func TLSConfig(secret *Secret) (*tls.Config, error) {
	seed, err := hkdf.Key(sha256.New, secret[:], nil, "spark-go TLS certificate", ed25519.SeedSize)
	if err != nil {
		return nil, fmt.Errorf("make the application's certificate: %w", err)
	}
	key := ed25519.NewKeyFromSeed(seed)
	// The same bytes in every process: Ed25519 signs without chance, and clocks are not asked.
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: tlsName},
		DNSNames:              []string{tlsName},
		NotBefore:             time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:              time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make the application's certificate: %w", err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("make the application's certificate: %w", err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(certificate)
	return &tls.Config{
		Certificates:           []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key, Leaf: certificate}},
		RootCAs:                pool,
		ClientCAs:              pool,
		ClientAuth:             tls.RequireAndVerifyClientCert,
		ServerName:             tlsName,
		MinVersion:             tls.VersionTLS13,
		SessionTicketsDisabled: true,
		// Small records at the beginning are for pages that are shown while they load.
		DynamicRecordSizingDisabled: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			if len(state.PeerCertificates) != 1 || !state.PeerCertificates[0].Equal(certificate) {
				return errors.New("the peer's certificate is not the application's")
			}
			return nil
		},
	}, nil
}

// secureConn is a TLS connection that closes at once. tls.Conn would wait seconds for a peer that does not read, to tell it; here every
// message has its length, so that a connection cut short is noticed anyway.
type secureConn struct {
	*tls.Conn
	raw   net.Conn
	bulk  *bulkConn // below the TLS connection, if it carries blocks
	write sync.Mutex
}

// Write writes all records together, if there are several.
func (c *secureConn) Write(p []byte) (int, error) {
	if c.bulk == nil || len(p) <= maxRecord {
		return c.Conn.Write(p)
	}
	c.write.Lock()
	defer c.write.Unlock()
	c.bulk.hold()
	n, err := c.Conn.Write(p)
	if sendErr := c.bulk.send(); err == nil && sendErr != nil {
		return 0, sendErr
	}
	return n, err
}

// Close closes the connection.
func (c *secureConn) Close() error { return c.raw.Close() }

// secured runs the TLS handshake on a connection, as tls.Client or tls.Server, bounded by the connection's deadline, and returns what the proof
// is bound to.
func secured(nc net.Conn, purpose Purpose, side func(net.Conn, *tls.Config) *tls.Conn, config *tls.Config) (net.Conn, []byte, error) {
	below := nc
	var bulk *bulkConn
	if purpose == Blocks {
		bulk = &bulkConn{Conn: nc}
		below = bulk
	}
	handshake := side(below, config)
	if err := handshake.Handshake(); err != nil {
		return nil, nil, err
	}
	state := handshake.ConnectionState()
	binding, err := state.ExportKeyingMaterial("EXPORTER-spark-go proof", nil, bindingSize)
	if err != nil {
		return nil, nil, fmt.Errorf("bind the proof to the connection: %w", err)
	}
	return &secureConn{Conn: handshake, raw: nc, bulk: bulk}, binding, nil
}

// foreign says whether a TLS handshake failed because the two sides do not belong together, rather than because the network failed.
func foreign(err error) bool {
	var alert tls.AlertError
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	return errors.As(err, &alert) || errors.As(err, &certificate) || errors.As(err, &record)
}
