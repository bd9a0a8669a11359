package seal

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
)

func testKey(t testing.TB, secret string, bits int) *Key {
	t.Helper()
	k, err := Derive([]byte(secret), bits)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// sealed is a block with a header of four bytes in front.
func sealed(t testing.TB, w *Writer, body []byte) []byte {
	t.Helper()
	dst := append([]byte("head"), make([]byte, Prefix)...)
	b := w.Seal(append(dst, body...), 4, []byte("head"))
	if len(b) != 4+len(body)+Overhead {
		t.Fatalf("a body of %d bytes takes %d", len(body), len(b))
	}
	return b
}

func newWriter(t testing.TB, k *Key) *Writer {
	t.Helper()
	w, err := k.NewWriter()
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// Blocks of any size and of several writers open in any order, and only with the key and the header of their own.
func TestSealAndOpen(t *testing.T) {
	for _, bits := range []int{128, 192, 256} {
		key := testKey(t, "secret", bits)
		writers := []*Writer{newWriter(t, key), newWriter(t, key)}
		var bodies, blocks [][]byte
		for i, n := range []int{0, 1, 15, 16, 1000, 100_000} {
			body := bytes.Repeat([]byte("plaintext of a row"), n/18+1)[:n]
			for _, w := range writers {
				bodies, blocks = append(bodies, body), append(blocks, sealed(t, w, body))
			}
			if b := blocks[2*i]; n > 100 && bytes.Contains(b, []byte("plain")) {
				t.Errorf("%d bits: %d bytes are readable", bits, n)
			}
		}
		r := key.NewReader()
		for _, i := range []int{5, 0, 11, 10, 3, 2, 1, 4, 6, 9, 8, 7} {
			got, err := r.Open(slices.Clone(blocks[i][4:]), []byte("head"))
			if err != nil || !bytes.Equal(got, bodies[i]) {
				t.Errorf("%d bits: block %d: %d bytes, %v", bits, i, len(got), err)
			}
		}
		other := 128
		if bits == other {
			other = 256
		}
		for what, open := range map[string]func(b []byte) ([]byte, error){
			"another secret": func(b []byte) ([]byte, error) { return testKey(t, "secreT", bits).NewReader().Open(b, []byte("head")) },
			"another size": func(b []byte) ([]byte, error) {
				return testKey(t, "secret", other).NewReader().Open(b, []byte("head"))
			},
			"another header": func(b []byte) ([]byte, error) { return key.NewReader().Open(b, []byte("heat")) },
			"cut":            func(b []byte) ([]byte, error) { return key.NewReader().Open(b[:len(b)-1], []byte("head")) },
		} {
			for i, b := range blocks {
				if body, err := open(slices.Clone(b[4:])); !errors.Is(err, ErrOpen) || body != nil {
					t.Errorf("%d bits: %s: block %d: %d bytes, %v", bits, what, i, len(body), err)
				}
			}
		}
		for i := range blocks[4][4:] {
			b := slices.Clone(blocks[4][4:])
			b[i] ^= 1
			if _, err := r.Open(b, []byte("head")); !errors.Is(err, ErrOpen) {
				t.Errorf("%d bits: byte %d was changed: %v", bits, i, err)
			}
		}
	}
	for _, bits := range []int{0, 64, 129, 512} {
		if _, err := Derive(nil, bits); err == nil || !strings.Contains(err.Error(), "spark.io.encryption.keySizeBits") {
			t.Errorf("%d bits: %v", bits, err)
		}
	}
}

// No salt and number come twice, and so neither does what stands for the same body.
func TestNoncesDiffer(t *testing.T) {
	key := testKey(t, "secret", 128)
	prefixes, bodies := map[string]bool{}, map[string]bool{}
	for range 20 {
		w := newWriter(t, key)
		for range 300 {
			b := sealed(t, w, []byte("the same row"))[4:]
			prefixes[string(b[:Prefix])], bodies[string(b[Prefix:])] = true, true
		}
	}
	if len(prefixes) != 6000 || len(bodies) != 6000 {
		t.Errorf("%d nonces and %d bodies of 6000 blocks", len(prefixes), len(bodies))
	}
}

func TestKeysAreNotPrinted(t *testing.T) {
	k := testKey(t, "secret", 256)
	type env struct{ Key *Key }
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb+" ", k)
		fmt.Fprintf(&out, verb+" ", *k)
		fmt.Fprintf(&out, verb+"\n", env{k})
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "key", k, "env", env{k})
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "key", k, "env", env{k})
	for _, bytesOf := range []string{fmt.Sprintf("%d", k.base), fmt.Sprintf("%x", k.base), fmt.Sprintf("%#v", k.base), string(k.base)} {
		if strings.Contains(out.String(), strings.Trim(bytesOf, "[]")) {
			t.Errorf("the key is printed: %s", out.String())
		}
	}
}

// FuzzOpen: nobody makes a block without the key.
func FuzzOpen(f *testing.F) {
	key := testKey(f, "secret", 128)
	good := sealed(f, newWriter(f, testKey(f, "another", 128)), []byte("row"))
	f.Add(good[4:], good[:4])
	f.Add([]byte{}, []byte{})
	r := key.NewReader()
	f.Fuzz(func(t *testing.T, b, head []byte) {
		if body, err := r.Open(slices.Clone(b), head); err == nil || body != nil {
			t.Errorf("%d bytes open", len(b))
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	for _, bits := range []int{128, 256} {
		for _, size := range []int{1 << 10, 256 << 10} {
			key := testKey(b, "secret", bits)
			w, r := newWriter(b, key), key.NewReader()
			head := make([]byte, 12)
			buf := make([]byte, size+Overhead)
			b.Run(fmt.Sprintf("bits=%d/seal/%d", bits, size), func(b *testing.B) {
				b.SetBytes(int64(size))
				for b.Loop() {
					buf = w.Seal(buf[:Prefix+size], 0, head)
				}
			})
			again := slices.Clone(buf)
			b.Run(fmt.Sprintf("bits=%d/open/%d", bits, size), func(b *testing.B) {
				b.SetBytes(int64(size))
				for b.Loop() {
					copy(again, buf)
					if _, err := r.Open(again, head); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
	b.Run("writer", func(b *testing.B) {
		key := testKey(b, "secret", 128)
		for b.Loop() {
			newWriter(b, key)
		}
	})
}
