package rdd

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spark-go/spark-go/shuffle/codec"
	"github.com/spark-go/spark-go/shuffle/seal"
)

// The file of a cached block gives its rows to the application that wrote it and to no other, also where checksums were made to fit. Whoever only checks the file needs no key.
func TestEncryptedBlocks(t *testing.T) {
	key := func(secret string) *seal.Key {
		k, err := seal.Derive([]byte(secret), 192)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	c, err := codec.Of[string]()
	if err != nil {
		t.Fatal(err)
	}
	lz4, err := codec.CompressorOf("lz4")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for i := range 20_000 {
		want = append(want, fmt.Sprint("a row that nobody reads ", i))
	}
	write := func(compress *codec.Compressor, key *seal.Key, rows []string) []byte {
		var file bytes.Buffer
		n, err := writeBlock(&file, compress, key, &partitionRows[string]{codec: c, chunks: [][]string{rows}})
		if err != nil || n != int64(file.Len()) {
			t.Fatal(n, file.Len(), err)
		}
		return file.Bytes()
	}
	path := filepath.Join(t.TempDir(), "block")
	read := func(key *seal.Key, file []byte) (rows []string, err error) {
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		b, err := openFile(path)
		if err != nil {
			t.Fatal(err)
		}
		defer b.f.Close()
		if err := b.unseal(key); err != nil {
			return nil, err
		}
		for again := range 2 { // the second time from the first block on
			if rows = nil; again > 0 {
				if err := b.rewind(); err != nil {
					t.Fatal(err)
				}
			}
			for s := (&decodedRows[string]{blocks: b, codec: c}); ; {
				some, err := s.Next()
				if err == io.EOF {
					break
				}
				if err != nil {
					return rows, err
				}
				rows = append(rows, some...)
			}
		}
		return rows, nil
	}
	for _, compress := range []*codec.Compressor{nil, &lz4} {
		ours := write(compress, key("ours"), want)
		if bytes.Contains(ours, []byte("nobody")) {
			t.Error("rows can be read")
		}
		if rows, err := read(key("ours"), ours); err != nil || !slices.Equal(rows, want) {
			t.Errorf("%d rows, %v", len(rows), err)
		}
		if err := CheckBlock(path); err != nil {
			t.Error(err)
		}
		for what, k := range map[string]*seal.Key{"written with another key": key("others"), "no key": nil} {
			if rows, err := read(k, ours); len(rows) > 0 || err == nil || !strings.Contains(err.Error(), what) {
				t.Errorf("%s: %d rows, %v", what, len(rows), err)
			}
		}
		if rows, err := read(key("ours"), write(compress, nil, want)); len(rows) > 0 || err == nil || !strings.Contains(err.Error(), "not encrypted") {
			t.Errorf("a plain file: %d rows, %v", len(rows), err)
		}
		for i := len(sealedMagic); i < len(ours); i += 1 + i/5 {
			bad := slices.Clone(ours)
			bad[i] ^= 4
			if rows, err := read(key("ours"), bad); len(rows) > 0 && !slices.Equal(rows, want[:len(rows)]) || err == nil || CheckBlock(path) == nil {
				t.Errorf("byte %d was changed: %d rows, %v", i, len(rows), err)
			}
			head := bad[len(sealedMagic):] // of the first block
			length := int(binary.LittleEndian.Uint32(head) &^ compressed)
			if i < len(sealedMagic)+blockHead || i >= len(sealedMagic)+blockHead+length {
				continue
			}
			binary.LittleEndian.PutUint32(head[4:], sealBlock(head, head[blockHead:blockHead+length]))
			if rows, err := read(key("ours"), bad); len(rows) > 0 || err == nil || !strings.Contains(err.Error(), "changed since") {
				t.Errorf("byte %d was changed, and the checksum: %d rows, %v", i, len(rows), err)
			}
		}
	}
	for _, k := range []*seal.Key{nil, key("ours")} {
		if rows, err := read(k, write(nil, k, nil)); err != nil || len(rows) > 0 {
			t.Errorf("nothing: %d rows, %v", len(rows), err)
		}
	}
}
