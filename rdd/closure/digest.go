package closure

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"sync"
)

// Digest returns the SHA-256 of the running executable in hex, computed once.
// Two processes may exchange encoded tasks only if their digests are equal.
func Digest() (string, error) { return digest() }

var digest = sync.OnceValues(func() (string, error) {
	f, err := openExecutable()
	if err != nil {
		return "", fmt.Errorf("open the running executable: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("read the running executable: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
})
