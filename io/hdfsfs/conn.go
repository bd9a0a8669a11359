package hdfsfs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"net"
	"slices"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// conn is a connection whose every read and write has a time limit; what fails is closed at once. Deadlines of the client are ignored.
type conn struct {
	net.Conn
	session  *session
	namenode bool
	limit    time.Duration
	// writing means that a block is written. Then Write reports no errors: the client would leave goroutines behind, which end only when
	// they could write the block's end. It learns of a failure from the missing acknowledgements, and the upload from session.broken.
	writing bool
	packets *packets // compares checksums; nil if this is no connection that a block is read from in clear
	held    []byte   // checked bytes that were not asked for yet

	err error // why it failed; guarded by session.mu
}

func (c *conn) SetDeadline(time.Time) error      { return nil }
func (c *conn) SetReadDeadline(time.Time) error  { return nil }
func (c *conn) SetWriteDeadline(time.Time) error { return nil }

func (c *conn) Read(p []byte) (int, error) {
	if c.packets == nil {
		return c.readRaw(p)
	}
	if len(c.held) == 0 {
		var err error
		if c.held, err = c.packets.next(); err != nil {
			if errors.Is(err, errChecksum) {
				slog.Warn("a replica is damaged, another one is read", "DataNode", c.RemoteAddr().String(), "error", err)
				c.fail(err)
			}
			return 0, err
		}
	}
	n := copy(p, c.held)
	c.held = c.held[n:]
	return n, nil
}

// readRaw is the io.Reader that packets reads from.
func (c *conn) readRaw(p []byte) (int, error) {
	_ = c.Conn.SetReadDeadline(time.Now().Add(c.limit)) // on a closed connection the read fails
	n, err := c.Conn.Read(p)
	if err != nil {
		c.fail(err)
	}
	return n, err
}

type rawReader struct{ *conn }

func (r rawReader) Read(p []byte) (int, error) { return r.readRaw(p) }

// readBlock begins every request to read a block: version 28 of the protocol and the operation.
const readBlock = "\x00\x1c\x51"

func (c *conn) Write(p []byte) (int, error) {
	if !c.namenode && !c.writing && c.packets == nil && len(p) >= len(readBlock) && string(p[:len(readBlock)]) == readBlock {
		c.packets = newPackets(rawReader{c})
	}
	_ = c.Conn.SetWriteDeadline(time.Now().Add(c.limit))
	n, err := c.Conn.Write(p)
	if err != nil {
		c.fail(err)
		if c.writing {
			return len(p), nil
		}
	}
	return n, err
}

// fail closes the connection, remembering the first reason.
func (c *conn) fail(err error) {
	c.session.mu.Lock()
	if c.err == nil {
		c.err = err
	}
	delete(c.session.conns, c)
	if c.namenode {
		c.session.lost = true
	}
	c.session.mu.Unlock()
	_ = c.Conn.Close()
}

func (c *conn) Close() error {
	c.session.mu.Lock()
	delete(c.session.conns, c)
	c.session.mu.Unlock()
	return c.Conn.Close()
}

// errChecksum is what a damaged replica is reported with.
var errChecksum = errors.New("the checksum of a block does not match its bytes")

var errProtocol = errors.New("the DataNode's answer is no part of the data transfer protocol")

const (
	maxResponse = 1 << 20
	maxPacket   = 16 << 20 // Hadoop's bound
)

// packets reads the answer to a request for a block: a response message, then packets of checksums and data. It compares
// the checksums and hands out the same answer as if there were none, so that the client need not compare them again.
type packets struct {
	in      io.Reader
	buf     []byte // what was read
	from    int    // where the next message begins
	started bool
	table   *crc32.Table // nil: no checksums
	chunk   int          // bytes for each checksum
	passing bool         // after an answer that is no data: everything is handed on
}

func newPackets(in io.Reader) *packets {
	return &packets{in: in, buf: make([]byte, 0, 256<<10)}
}

// need makes n bytes available from p.from.
func (p *packets) need(n int) error {
	if len(p.buf)-p.from >= n {
		return nil
	}
	if p.from > 0 {
		p.buf = p.buf[:copy(p.buf, p.buf[p.from:])]
		p.from = 0
	}
	for len(p.buf) < n {
		if len(p.buf) == cap(p.buf) { // with what has come, not with what was announced
			p.buf = slices.Grow(p.buf, min(n-len(p.buf), cap(p.buf)))
		}
		got, err := p.in.Read(p.buf[len(p.buf):cap(p.buf)])
		p.buf = p.buf[:len(p.buf)+got]
		if err != nil && len(p.buf) < n {
			if err == io.EOF && len(p.buf) > 0 {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}

// next returns bytes for the client; they are good until the next call.
func (p *packets) next() ([]byte, error) {
	if !p.started {
		return p.response()
	}
	if p.passing {
		if err := p.need(1); err != nil {
			return nil, err
		}
		b := p.buf[p.from:]
		p.from = len(p.buf)
		return b, nil
	}
	return p.packet()
}

// response reads the length and the message that come first.
func (p *packets) response() ([]byte, error) {
	p.started = true
	prefix := 0
	var length uint64
	for {
		if err := p.need(prefix + 1); err != nil {
			return nil, err
		}
		b := p.buf[p.from+prefix]
		length |= uint64(b&0x7f) << (7 * prefix)
		prefix++
		if b < 0x80 {
			break
		}
		if prefix == 4 {
			return nil, fmt.Errorf("%w: the length of its response", errProtocol)
		}
	}
	if length > maxResponse {
		return nil, fmt.Errorf("%w: a response of %d bytes", errProtocol, length)
	}
	n := prefix + int(length)
	if err := p.need(n); err != nil {
		return nil, err
	}
	message := p.buf[p.from : p.from+n]
	p.from += n
	status, kind, chunk, err := parseResponse(message[prefix:])
	if err != nil {
		return nil, err
	}
	p.chunk = chunk
	switch {
	case status != 0 || chunk == 0:
		p.passing = true // the client says what is wrong
	case kind == 1:
		p.table = crc32.IEEETable
	case kind == 2:
		p.table = crc32.MakeTable(crc32.Castagnoli)
	}
	return message, nil
}

// parseResponse reads from a BlockOpResponseProto its status (0 for success) and from its checksum information the kind (0 none, 1 CRC-32, 2 CRC-32C) and
// the bytes for each checksum. It sets the kind in the message to 0.
func parseResponse(message []byte) (status, kind uint64, chunk int, err error) {
	var size uint64
	err = fields(message, func(number protowire.Number, value uint64, body []byte) error {
		switch number {
		case 1:
			status = value
		case 4: // ReadOpChecksumInfoProto
			return fields(body, func(number protowire.Number, _ uint64, body []byte) error {
				if number != 1 {
					return nil
				}
				err := fields(body, func(number protowire.Number, value uint64, _ []byte) error { // ChecksumProto
					switch number {
					case 1:
						kind = value
					case 2:
						size = value
					}
					return nil
				})
				// Field 1 as servers write it, with one byte of value; otherwise the client will find fault with the packets.
				if err == nil && len(body) >= 2 && body[0] == 1<<3 && body[1] < 0x80 {
					body[1] = 0
				}
				return err
			})
		}
		return nil
	})
	if err == nil && size > maxPacket {
		err = fmt.Errorf("%w: checksums of %d bytes each", errProtocol, size)
	}
	return status, kind, int(size), err
}

// fields calls visit with the fields of a protobuf message.
func fields(message []byte, visit func(number protowire.Number, value uint64, body []byte) error) error {
	for len(message) > 0 {
		number, typ, n := protowire.ConsumeTag(message)
		if n < 0 {
			return fmt.Errorf("%w: %w", errProtocol, protowire.ParseError(n))
		}
		message = message[n:]
		var value uint64
		var body []byte
		switch typ {
		case protowire.VarintType:
			value, n = protowire.ConsumeVarint(message)
		case protowire.Fixed32Type:
			var v uint32
			v, n = protowire.ConsumeFixed32(message)
			value = uint64(v)
		case protowire.Fixed64Type:
			value, n = protowire.ConsumeFixed64(message)
		case protowire.BytesType:
			body, n = protowire.ConsumeBytes(message)
		default:
			n = protowire.ConsumeFieldValue(number, typ, message)
		}
		if n < 0 {
			return fmt.Errorf("%w: %w", errProtocol, protowire.ParseError(n))
		}
		message = message[n:]
		if err := visit(number, value, body); err != nil {
			return err
		}
	}
	return nil
}

// packet reads one packet: 4 bytes that count themselves, the checksums and the data, 2 bytes with the length of the header, the
// header, checksums, data.
func (p *packets) packet() ([]byte, error) {
	if err := p.need(6); err != nil {
		return nil, err
	}
	length := int(binary.BigEndian.Uint32(p.buf[p.from:])) - 4
	header := int(binary.BigEndian.Uint16(p.buf[p.from+4:]))
	if length < 0 || length > maxPacket {
		return nil, fmt.Errorf("%w: a packet of %d bytes", errProtocol, length)
	}
	n := 6 + header + length
	if err := p.need(n); err != nil {
		return nil, err
	}
	packet := p.buf[p.from : p.from+n]
	p.from += n
	data := 0
	var offset uint64
	err := fields(packet[6:6+header], func(number protowire.Number, value uint64, _ []byte) error {
		switch number {
		case 1:
			offset = value
		case 4:
			data = int(int32(uint32(value)))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	sums := 0
	if p.table != nil {
		sums = 4 * ((data + p.chunk - 1) / p.chunk)
	}
	if data < 0 || sums+data != length {
		return nil, fmt.Errorf("%w: a packet of %d bytes with %d of data", errProtocol, length, data)
	}
	if p.table == nil {
		return packet, nil
	}
	checksums, bytes := packet[6+header:6+header+sums], packet[6+header+sums:]
	for at := 0; at < data; at += p.chunk {
		if crc32.Checksum(bytes[at:min(at+p.chunk, data)], p.table) != binary.BigEndian.Uint32(checksums) {
			return nil, fmt.Errorf("%w at %d", errChecksum, offset+uint64(at))
		}
		checksums = checksums[4:]
	}
	// The header moves up to the data, over the checksums.
	packet = packet[sums:]
	copy(packet, p.buf[p.from-n:p.from-n+6+header])
	binary.BigEndian.PutUint32(packet, uint32(4+data))
	return packet, nil
}
