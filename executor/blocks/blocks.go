// Package blocks moves blocks of data between processes over sockets: ranges of map outputs, straight from their files,
// and named blocks such as pieces of broadcasts and cached partitions.
//
// A connection starts with the proof of the application's secret and then carries one request at a time. Files go out with sendfile where
// the connection is plain; where it is encrypted (see protocol.Listen) they pass through this process. A request is answered
// by a status and a length before any data, so that a block that is not there ("not found": compute it again) differs from a
// connection that broke (try again). What is not served within the timeout, or is served short, is an error of the connection;
// a reader never takes a shortened block for a whole one.
//
// The format, integers little endian:
//
//	request:  uint32 length of what follows; one byte, 'm', 'c' or 'n'; then
//	          'm', a range of a map output: varints shuffle, map, attempt, first and last+1 reduce partition
//	          'c', the same, to be compared with its checksums instead of sent: "failed" tells the damage
//	          'n', a named block: its name
//	answer:   one byte, 0 found, 1 not found, 2 failed; uint64 length; then the data, or the reason as text
package blocks

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// DefaultTimeout is the default of spark.network.timeout: how long a peer may neither send nor take anything.
const DefaultTimeout = 120 * time.Second

const (
	maxRequest  = 4096
	maxReason   = 4096
	answerSize  = 1 + 8
	askMap      = 'm'
	askCheck    = 'c'
	askName     = 'n'
	found       = 0
	notFound    = 1
	failed      = 2
	smallBlock  = 64 << 10 // up to which a block is sent together with its header
	streamPiece = 1 << 20  // bytes between two looks at the clock
)

// ErrNotFound is wrapped by errors about blocks that the server does not have. It wraps fs.ErrNotExist.
var ErrNotFound = fmt.Errorf("block not found: %w", fs.ErrNotExist)

// Files opens the file of a map output, as shuffle.OpenBlock does for a folder: the reduce partitions [start, end) are the
// length bytes from offset on. The caller closes the file. An error that wraps fs.ErrNotExist means that there is no such output.
type Files func(shuffle, mapID int, attempt int64, start, end int) (f *os.File, offset, length int64, err error)

// Provider opens named blocks and says how long they are. An error that wraps fs.ErrNotExist means that there is no such block.
// Open is called from many goroutines.
type Provider interface {
	Open(name string) (io.ReadCloser, int64, error)
}

// request asks for one block.
type request struct {
	op            byte
	name          string
	shuffle, mapN int
	attempt       int64
	start, end    int
}

func (q *request) String() string {
	if q.op == askName {
		return fmt.Sprintf("block %q", q.name)
	}
	what := ""
	if q.op == askCheck {
		what = "a check of "
	}
	return what + fmt.Sprintf("partitions [%d,%d) of map output %d, attempt %d, of shuffle %d", q.start, q.end, q.mapN, q.attempt, q.shuffle)
}

// append writes the request with its length.
func (q *request) append(b []byte) ([]byte, error) {
	start := len(b)
	b = append(b, 0, 0, 0, 0, q.op)
	if q.op == askName {
		b = append(b, q.name...)
	} else {
		for _, v := range [...]int64{int64(q.shuffle), int64(q.mapN), q.attempt, int64(q.start), int64(q.end)} {
			b = binary.AppendVarint(b, v)
		}
	}
	n := len(b) - start - 4
	if n > maxRequest {
		return nil, fmt.Errorf("ask for a block: its name has %d bytes, more than %d", len(q.name), maxRequest-1)
	}
	binary.LittleEndian.PutUint32(b[start:], uint32(n))
	return b, nil
}

var errMalformed = errors.New("malformed request")

// parseRequest reads what append wrote after the length.
func parseRequest(b []byte) (request, error) {
	if len(b) == 0 {
		return request{}, fmt.Errorf("%w: it is empty", errMalformed)
	}
	q := request{op: b[0]}
	b = b[1:]
	switch q.op {
	case askName:
		q.name = string(b)
		return q, nil
	case askMap, askCheck:
		var v [5]int64
		for i := range v {
			x, n := binary.Varint(b)
			if n <= 0 || int64(int(x)) != x {
				return request{}, fmt.Errorf("%w: number %d is cut short or too large", errMalformed, i)
			}
			v[i], b = x, b[n:]
		}
		if len(b) > 0 {
			return request{}, fmt.Errorf("%w: %d bytes are left over", errMalformed, len(b))
		}
		q.shuffle, q.mapN, q.attempt, q.start, q.end = int(v[0]), int(v[1]), v[2], int(v[3]), int(v[4])
		return q, nil
	}
	return request{}, fmt.Errorf("%w: unknown kind %q", errMalformed, q.op)
}
