package shuffle

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/spark-go/spark-go/shuffle/seal"
)

func testKey(t testing.TB, secret string) *seal.Key {
	t.Helper()
	key, err := seal.Derive([]byte(secret), 128)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// plainAndSealed runs a test without encryption and with it.
func plainAndSealed(t *testing.T, f func(t *testing.T, key *seal.Key)) {
	t.Run("plain", func(t *testing.T) { f(t, nil) })
	t.Run("sealed", func(t *testing.T) { f(t, testKey(t, "secret")) })
}

// Map outputs whose runs were spilled and not hold no text of their rows, and read back the same, a partition at a time too. Who has another key, or none, gets
// an error and no rows.
func TestEncryptedOutputs(t *testing.T) {
	for _, compression := range []string{"none", "lz4"} {
		for _, memory := range []Memory{Unlimited{}, &limited{}} {
			lowerFloor(t, 64<<10)
			env := localEnv(t)
			env.Compression, env.Memory, env.Key = compression, memory, testKey(t, "secret")
			id := WriterID{1, 0, 9}
			out, want := writeMap(t, env, id, 4, 20_000)
			if _, spills := memory.(*limited); (env.Metrics.SpilledBytes > 0) != spills {
				t.Errorf("%d bytes were spilled", env.Metrics.SpilledBytes)
			}
			b, err := os.ReadFile(DataFile(env.Location.Dir, id))
			if err != nil || bytes.Contains(b, []byte("map 0 row")) {
				t.Errorf("%s: rows are readable in %d bytes, %v", compression, len(b), err)
			}
			for p := range 4 {
				if got, err := drainErr(env, []Output{out}, p, p+1); err != nil || !slices.Equal(got, want[p]) {
					t.Errorf("%s: partition %d: %d rows, %v", compression, p, len(got), err)
				}
			}
			for what, key := range map[string]*seal.Key{"another key": testKey(t, "secreT"), "no key": nil} {
				other := *env
				other.Key = key
				got, err := drainErr(&other, []Output{out}, 0, 4)
				var fetch *FetchError
				if !errors.As(err, &fetch) || len(got) > 0 || key == nil && !strings.Contains(err.Error(), "encrypted") {
					t.Errorf("%s: %s: %d rows, %v", compression, what, len(got), err)
				}
			}
		}
	}
}

// A checksum that was made to fit is no way around the key: neither for changed blocks nor for plain ones.
func TestForgedBlocks(t *testing.T) {
	env := localEnv(t)
	env.Key, env.Compression = testKey(t, "secret"), "none"
	id := WriterID{1, 0, 9}
	out, want := writeMap(t, env, id, 1, 100)
	path := DataFile(env.Location.Dir, id)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	forge := func(i int, b []byte) {
		t.Helper()
		binary.LittleEndian.PutUint32(b, crc32.Checksum(b[4:], castagnoli))
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := drainErr(env, []Output{out}, 0, 1)
		if len(got) > 0 || !errors.Is(err, errCorrupt) {
			t.Errorf("byte %d: %d rows, %v", i, len(got), err)
		}
	}
	for i := 8; i < len(good); i += 1 + i/40 { // what is before is the checksum, and the length, which the index gives away
		b := slices.Clone(good)
		b[i] ^= 1 << (i % 8)
		forge(i, b)
	}
	plain := *env
	plain.Key = nil
	plain.Location.Dir = t.TempDir()
	if out, _ = writeMap(t, &plain, id, 1, 100); out.Sizes[0] != int64(len(good)-seal.Overhead) {
		t.Errorf("%d and %d bytes", out.Sizes[0], len(good))
	}
	if got, err := drainErr(&plain, []Output{out}, 0, 1); err != nil || !slices.Equal(got, want[0]) {
		t.Errorf("plain: %d rows, %v", len(got), err)
	}
	if got, err := drainErr(env, []Output{out}, 0, 1); len(got) > 0 || !errors.Is(err, errNotSealed) {
		t.Errorf("a plain block: %d rows, %v", len(got), err)
	}
}
