package hdfsfs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// answer is what a DataNode sends for a block: packets of so many bytes, with a checksum for every chunk bytes.
func answer(data []byte, packet, chunk int, kind uint64) []byte {
	checksum := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), kind)
	checksum = protowire.AppendVarint(protowire.AppendTag(checksum, 2, protowire.VarintType), uint64(chunk))
	info := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), checksum)
	info = protowire.AppendVarint(protowire.AppendTag(info, 2, protowire.VarintType), 0)
	message := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 0)
	message = protowire.AppendBytes(protowire.AppendTag(message, 4, protowire.BytesType), info)
	out := protowire.AppendBytes(nil, message)
	for off := 0; off <= len(data); off += packet {
		part := data[off:min(off+packet, len(data))]
		var header []byte
		header = protowire.AppendFixed64(protowire.AppendTag(header, 1, protowire.Fixed64Type), uint64(off))
		header = protowire.AppendFixed64(protowire.AppendTag(header, 2, protowire.Fixed64Type), uint64(off/packet))
		header = protowire.AppendVarint(protowire.AppendTag(header, 3, protowire.VarintType), 0)
		header = protowire.AppendFixed32(protowire.AppendTag(header, 4, protowire.Fixed32Type), uint32(len(part)))
		var sums []byte
		table := crc32.MakeTable(crc32.Castagnoli)
		if kind == 1 {
			table = crc32.IEEETable
		}
		for at := 0; at < len(part) && kind != 0; at += chunk {
			sums = binary.BigEndian.AppendUint32(sums, crc32.Checksum(part[at:min(at+chunk, len(part))], table))
		}
		out = binary.BigEndian.AppendUint32(out, uint32(4+len(sums)+len(part)))
		out = binary.BigEndian.AppendUint16(out, uint16(len(header)))
		out = append(append(append(out, header...), sums...), part...)
	}
	return out
}

// drain reads packets to the end.
func drain(p *packets) ([]byte, error) {
	var out []byte
	for {
		b, err := p.next()
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		out = append(out, b...)
	}
}

// oneByte yields a byte at a time.
type oneByte struct{ io.Reader }

func (o oneByte) Read(p []byte) (int, error) { return o.Reader.Read(p[:1]) }

func TestPackets(t *testing.T) {
	data := make([]byte, 5000)
	for i := range data {
		data[i] = byte(i * 7)
	}
	for _, kind := range []uint64{0, 1, 2} {
		sent, want := answer(data, 2048, 512, kind), answer(data, 2048, 512, 0)
		for _, in := range []io.Reader{bytes.NewReader(sent), oneByte{bytes.NewReader(sent)}} {
			got, err := drain(newPackets(in))
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("kind %d: %d of %d bytes handed on, or others, %v", kind, len(got), len(want), err)
			}
		}
		for i := len(sent) - 100; i < len(sent)-50; i++ { // data of the last packet
			bad := bytes.Clone(sent)
			bad[i] ^= 4
			_, err := drain(newPackets(bytes.NewReader(bad)))
			if kind != 0 && err == nil {
				t.Fatalf("kind %d: byte %d of %d changed without an error", kind, i, len(sent))
			}
		}
		if _, err := drain(newPackets(bytes.NewReader(sent[:len(sent)-10]))); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("kind %d: cut off: %v", kind, err)
		}
	}
}

// FuzzPackets: whatever a server sends, nothing panics, and no more is handed on than was sent.
func FuzzPackets(f *testing.F) {
	f.Add(answer([]byte("content"), 4, 512, 2))
	f.Add(answer(make([]byte, 3000), 1024, 512, 1))
	f.Add(answer([]byte("x"), 4, 1, 0))
	f.Fuzz(func(t *testing.T, sent []byte) {
		got, err := drain(newPackets(bytes.NewReader(sent)))
		if len(got) > len(sent) {
			t.Errorf("%d bytes were handed on of %d, %v", len(got), len(sent), err)
		}
	})
}
