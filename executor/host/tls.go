package host

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"time"
)

// controlName is the name in the certificates of the control channel.
const controlName = "spark-go"

// keyPair is a certificate and its key, as they travel in a jobSpec. There is one pair for each end of a control channel, made by
// the host for one job process and never stored.
//
// go-plugin's AutoMTLS does the same with keys on the curve P-521, which take 40 ms and more of a core for each job process; these
// are on P-256 and take one.
type keyPair struct {
	Certificate []byte // DER
	Key         []byte // PKCS #8
}

func newKeyPair() (keyPair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return keyPair{}, fmt.Errorf("make a key for the control channel: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: controlName},
		DNSNames:              []string{controlName},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().AddDate(10, 0, 0), // as long as an application may run
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return keyPair{}, fmt.Errorf("make a certificate for the control channel: %w", err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return keyPair{}, fmt.Errorf("make a key for the control channel: %w", err)
	}
	return keyPair{Certificate: der, Key: pkcs8}, nil
}

// mutualTLS is the configuration of an end that has own and talks to nobody but the holder of peer's key.
func mutualTLS(own keyPair, peer []byte) (*tls.Config, error) {
	key, err := x509.ParsePKCS8PrivateKey(own.Key)
	if err != nil {
		return nil, fmt.Errorf("read the key of the control channel: %w", err)
	}
	certificate, err := x509.ParseCertificate(peer)
	if err != nil {
		return nil, fmt.Errorf("read the certificate of the control channel: %w", err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(certificate)
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{own.Certificate}, PrivateKey: key}},
		RootCAs:      pool,
		ClientCAs:    pool,
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ServerName:   controlName,
		MinVersion:   tls.VersionTLS13,
	}, nil
}
