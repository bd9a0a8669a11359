package executor

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"strconv"
	"strings"
	"sync"

	"github.com/spark-go/spark-go/executor/blocks"
	"github.com/spark-go/spark-go/shuffle/codec"
)

// A broadcast travels as named blocks: "broadcast/ID/0" says how many pieces follow and how long the value is, "broadcast/ID/1" and
// on are the pieces, compressed or not, each behind its CRC-32C.

const broadcastPrefix = "broadcast/"

func broadcastBlock(id, piece int) string { return fmt.Sprintf("%s%d/%d", broadcastPrefix, id, piece) }

// ParseBroadcastBlock reads the name of a piece of a broadcast. Other names wrap fs.ErrNotExist.
func ParseBroadcastBlock(name string) (id, piece int, err error) {
	rest, ok := strings.CutPrefix(name, broadcastPrefix)
	first, second, ok2 := strings.Cut(rest, "/")
	id, err1 := strconv.Atoi(first)
	piece, err2 := strconv.Atoi(second)
	if !ok || !ok2 || err1 != nil || err2 != nil || id < 0 || piece < 0 {
		return 0, 0, fmt.Errorf("block %q: %w", name, fs.ErrNotExist)
	}
	return id, piece, nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// CutBroadcast cuts an encoded value into its blocks.
func CutBroadcast(value []byte, blockSize int, compress bool) ([][]byte, error) {
	name := "none"
	if compress {
		name = "lz4"
	}
	c, err := codec.CompressorOf(name)
	if err != nil {
		return nil, err
	}
	head := binary.AppendUvarint(nil, uint64((len(value)+blockSize-1)/blockSize))
	pieces := [][]byte{binary.AppendUvarint(head, uint64(len(value)))}
	for len(value) > 0 {
		n := min(blockSize, len(value))
		piece, err := c.Append(make([]byte, 4, n+64), value[:n])
		if err != nil {
			return nil, fmt.Errorf("compress a piece of a broadcast: %w", err)
		}
		binary.LittleEndian.PutUint32(piece, crc32.Checksum(piece[4:], castagnoli))
		pieces = append(pieces, piece)
		value = value[n:]
	}
	return pieces, nil
}

// broadcasts keeps the values that tasks of this process have asked for.
type broadcasts struct {
	client *blocks.Client
	addr   string

	mu     sync.Mutex
	values map[int]*broadcastValue
}

type broadcastValue struct {
	mu    sync.Mutex
	value any
	ok    bool
}

func newBroadcasts(client *blocks.Client, addr string) *broadcasts {
	return &broadcasts{client: client, addr: addr, values: map[int]*broadcastValue{}}
}

func (b *broadcasts) remove(id int) {
	b.mu.Lock()
	delete(b.values, id)
	b.mu.Unlock()
}

// Broadcast implements rdd.Broadcasts: the first task that asks fetches the value for all.
func (b *broadcasts) Broadcast(ctx context.Context, id int, decode func([]byte) (any, error)) (any, error) {
	b.mu.Lock()
	v := b.values[id]
	if v == nil {
		v = &broadcastValue{}
		b.values[id] = v
	}
	b.mu.Unlock()
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.ok {
		return v.value, nil
	}
	raw, err := b.fetch(ctx, id)
	if err != nil {
		return nil, err
	}
	if v.value, err = decode(raw); err != nil {
		return nil, err
	}
	v.ok = true
	return v.value, nil
}

var errBroadcastShape = errors.New("it does not have the form of a broadcast")

func (b *broadcasts) fetch(ctx context.Context, id int) ([]byte, error) {
	head, err := b.read(ctx, id, 0)
	if err != nil {
		return nil, err
	}
	count, n := binary.Uvarint(head)
	size, m := binary.Uvarint(head[max(n, 0):])
	if n <= 0 || m <= 0 {
		return nil, errBroadcastShape
	}
	c, err := codec.CompressorOf("none") // any compressor reads any frame
	if err != nil {
		return nil, err
	}
	var value []byte
	for i := range int(count) {
		piece, err := b.read(ctx, id, i+1)
		if err != nil {
			return nil, err
		}
		if len(piece) < 4 || binary.LittleEndian.Uint32(piece) != crc32.Checksum(piece[4:], castagnoli) {
			return nil, fmt.Errorf("piece %d of broadcast %d: the checksum does not match", i+1, id)
		}
		if value, _, err = c.Decode(value, piece[4:]); err != nil {
			return nil, fmt.Errorf("piece %d of broadcast %d: %w", i+1, id, err)
		}
	}
	if uint64(len(value)) != size {
		return nil, errBroadcastShape
	}
	return value, nil
}

func (b *broadcasts) read(ctx context.Context, id, piece int) ([]byte, error) {
	r, n, err := b.client.Open(ctx, b.addr, broadcastBlock(id, piece))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	buf := make([]byte, n)
	if _, err := io.ReadFull(r, buf); err != nil {
		return nil, fmt.Errorf("read %s: %w", broadcastBlock(id, piece), err)
	}
	return buf, nil
}
