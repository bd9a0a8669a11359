// Package seal encrypts what executors write to local disk (spark.io.encryption.enabled), a block at a time.
//
// A sealed block is, between the header that its file format gives it and the next block,
//
//	salt, 16 bytes | number, 8 bytes, little endian | the block's body under AES-GCM | tag, 16 bytes
//
// Who reads the disk, now or when it has been thrown away, learns how many blocks there are and how long, how many rows they have and to which reduce
// partition they go, and nothing of the rows. A changed bit of a block, its header included, is an error and never other rows, also where a checksum was
// made to fit. What is not noticed is a whole block of the same application in the place of another one: it needs somebody who writes
// to files that only the application's user may write.
//
// # Why no nonce is used twice
//
// Two messages under the same key and nonce give AES-GCM away, in secrecy and in authenticity. Tasks write under one key of the application, on
// many executors, attempts of the same task at the same time, and cannot agree on numbers. Nonces of 96 random bits would do for 2^32 blocks only (NIST SP
// 800-38D, 8.3), and small blocks are many. Hence two levels:
//
//   - Each [Writer], that is each map output, each spill file's log and each file of a cached block, draws a salt of 128 random bits and encrypts under a key of its
//     own, HKDF-SHA-256 of the application's key and the salt. Two writers have the same key if they drew the same salt: among 2^40 writers with a probability below 2^-48.
//   - Under a writer's key the nonce is the number of the block, which only counts up. A writer is never stored, copied or shared. What is written again, by another
//     attempt or by a merge of runs, is another block of another number or writer, even where the rows are the same.
//
// Both stand in the block. So blocks can be read one by one and from the middle of a file, laid end to end with those of other runs, and copied to other hosts as they
// are; who serves, copies and checks them by their checksums needs no key.
//
// # The key
//
// It is derived from the application's secret (protocol.Secret: 256 random bits, made by the driver), which all that need the key have anyway: no further
// secret travels. It lives in memory alone and goes with the application. [Key] shows its bytes to nobody.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
)

const (
	saltSize = 16
	tagSize  = 16
	// Prefix is the length of what stands in front of the encrypted body.
	Prefix = saltSize + 8
	// Overhead is by how much a sealed block is longer than its body.
	Overhead = Prefix + tagSize
)

// ErrOpen is that a block cannot be decrypted.
var ErrOpen = errors.New("the block was written with another key, or was changed since")

// Key is what the blocks of an application are encrypted with. It may be used by many goroutines. Printing it shows nothing of it.
type Key struct {
	base []byte // what the writers' keys are derived from
	size int    // of these, in bytes
}

// Derive makes the key of the application that has this secret. Blocks are encrypted with AES of 128, 192 or 256 bits.
func Derive(secret []byte, bits int) (*Key, error) {
	if bits != 128 && bits != 192 && bits != 256 {
		return nil, fmt.Errorf("encrypt temporary files with a key of %d bits: AES has 128, 192 and 256 (spark.io.encryption.keySizeBits)", bits)
	}
	base, err := hkdf.Key(sha256.New, secret, nil, "spark-go temporary files", sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("derive the key of temporary files: %w", err)
	}
	return &Key{base: base, size: bits / 8}, nil
}

// Format implements fmt.Formatter: it hides the key, whatever the verb.
func (Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "(key)") }

// LogValue implements slog.LogValuer: it hides the key.
func (Key) LogValue() slog.Value { return slog.StringValue("(key)") }

// cipher is the cipher of the writer that drew the salt.
func (k *Key) cipher(salt []byte) (cipher.AEAD, error) {
	key, err := hkdf.Expand(sha256.New, k.base, string(salt), k.size)
	if err != nil {
		return nil, err
	}
	b, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(b)
}

// Writer seals blocks. It belongs to one goroutine and must not be copied.
type Writer struct {
	aead   cipher.AEAD
	prefix [Prefix]byte // of the next block
	nonce  [12]byte
	number uint64
}

// NewWriter draws a salt. Under it 2^64 blocks can be sealed, of less than 64 GiB each.
func (k *Key) NewWriter() (*Writer, error) {
	w := &Writer{}
	_, _ = rand.Read(w.prefix[:saltSize]) // never fails, as its documentation says
	var err error
	if w.aead, err = k.cipher(w.prefix[:saltSize]); err != nil {
		return nil, fmt.Errorf("encrypt a temporary file: %w", err)
	}
	return w, nil
}

// Seal encrypts a block in place: at dst[at:] there are Prefix bytes of room and then its body, up to the end of dst. It returns dst with the sealed block, whose
// length is Overhead more than the body's. head is what a reader must give again, and is not encrypted.
func (w *Writer) Seal(dst []byte, at int, head []byte) []byte {
	dst = slices.Grow(dst, tagSize)
	binary.LittleEndian.PutUint64(w.prefix[saltSize:], w.number)
	copy(w.nonce[:], w.prefix[saltSize:])
	w.number++
	copy(dst[at:], w.prefix[:])
	body := dst[at+Prefix:]
	return dst[:at+Prefix+len(w.aead.Seal(body[:0], w.nonce[:], body, head))]
}

// Reader opens blocks. It belongs to one goroutine.
type Reader struct {
	key   *Key
	salt  [saltSize]byte
	aead  cipher.AEAD // of salt; nil before the first block
	nonce [12]byte
}

// NewReader makes a reader of blocks of any writers.
func (k *Key) NewReader() *Reader { return &Reader{key: k} }

// Open decrypts a sealed block in place and returns its body, which is a part of it; head lies elsewhere. The error wraps ErrOpen; nothing of the block is left then.
func (r *Reader) Open(sealed, head []byte) ([]byte, error) {
	if len(sealed) < Overhead {
		return nil, fmt.Errorf("decrypt a block of %d bytes: %w", len(sealed), ErrOpen)
	}
	if r.aead == nil || string(r.salt[:]) != string(sealed[:saltSize]) {
		aead, err := r.key.cipher(sealed[:saltSize])
		if err != nil {
			return nil, fmt.Errorf("decrypt a block: %w", err)
		}
		r.aead = aead
		copy(r.salt[:], sealed)
	}
	copy(r.nonce[:], sealed[saltSize:Prefix])
	body := sealed[Prefix:]
	body, err := r.aead.Open(body[:0], r.nonce[:], body, head)
	if err != nil {
		return nil, fmt.Errorf("decrypt a block: %w", ErrOpen)
	}
	return body, nil
}
