package arrowio

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
)

// The library makes room for as many fields, keys and buffers as a file claims to have, before it looks for them. So the file's directory and the head of each
// message are looked over first: FlatBuffers, in which every table, text and list must lie within the bytes that there are, and messages, of which every buffer
// must lie within the body. What is claimed beyond that is an error.

// kind is what a field of a table refers to.
type kind uint8

const (
	scalar kind = iota // within the table; or not known to us, and not followed by the library
	table
	text
	list  // of items of a size
	lists // of tables
	union // a table whose layout depends on the field before
)

// layout lists those fields of a table that refer to something.
type layout map[int]reference

type reference struct {
	kind kind
	size int64       // of a list's items
	to   *layout     // of tables
	of   unionLayout // of a union
}

type unionLayout func(tag byte) *layout

// The tables of Arrow's format/File.fbs, Message.fbs and Schema.fbs, fields by number.
var (
	plainTable     = layout{}
	keyValue       = layout{0: {kind: text}, 1: {kind: text}}
	encodingTable  = layout{1: {kind: table, to: &plainTable}}
	timestampTable = layout{1: {kind: text}}
	unionTable     = layout{1: {kind: list, size: 4}}
	fieldTable     = layout{}
	schemaTable    = layout{1: {kind: lists, to: &fieldTable}, 2: {kind: lists, to: &keyValue}, 3: {kind: list, size: 8}}
	footerTable    = layout{1: {kind: table, to: &schemaTable}, 2: {kind: list, size: blockSize}, 3: {kind: list, size: blockSize}, 4: {kind: lists, to: &keyValue}}
	batchTable     = layout{1: {kind: list, size: 16}, 2: {kind: list, size: 16}, 3: {kind: table, to: &plainTable}, 4: {kind: list, size: 8}}
	dictionary     = layout{1: {kind: table, to: &batchTable}}
	messageTable   = layout{2: {kind: union, of: messageLayout}, 4: {kind: lists, to: &keyValue}}
)

func init() {
	// Fields hold fields.
	fieldTable[0] = reference{kind: text}
	fieldTable[3] = reference{kind: union, of: typeLayout}
	fieldTable[4] = reference{kind: table, to: &encodingTable}
	fieldTable[5] = reference{kind: lists, to: &fieldTable}
	fieldTable[6] = reference{kind: lists, to: &keyValue}
}

const (
	blockSize       = 24 // offset, length of the head, length of the body
	magic           = "ARROW1"
	headSchema      = 1
	headDictionary  = 2
	headBatch       = 3
	typeTimestamp   = 10
	typeUnion       = 14
	mostDepth       = 64
	mostHead        = 1 << 30 // bytes of a directory or head
	mostTablesPerKB = 1 << 9  // tables may be shared, and so a few bytes stand for very many
)

func typeLayout(tag byte) *layout {
	switch tag {
	case typeTimestamp:
		return &timestampTable
	case typeUnion:
		return &unionTable
	}
	return &plainTable
}

func messageLayout(tag byte) *layout {
	switch tag {
	case headSchema:
		return &schemaTable
	case headDictionary:
		return &dictionary
	case headBatch:
		return &batchTable
	}
	return &plainTable
}

// verifier looks over one FlatBuffer.
type verifier struct {
	b    []byte
	left int64 // tables that may still be met
}

func (v *verifier) uint16(at int64) (int64, bool) {
	if at < 0 || at+2 > int64(len(v.b)) {
		return 0, false
	}
	return int64(binary.LittleEndian.Uint16(v.b[at:])), true
}

func (v *verifier) uint32(at int64) (int64, bool) {
	if at < 0 || at+4 > int64(len(v.b)) {
		return 0, false
	}
	return int64(binary.LittleEndian.Uint32(v.b[at:])), true
}

// field returns where field i of a table lies, 0 if it is absent.
func (v *verifier) field(at int64, i int) int64 {
	back, _ := v.uint32(at)
	vtable := at - int64(int32(back))
	size, _ := v.uint16(vtable)
	if int64(4+2*i+2) > size {
		return 0
	}
	offset, _ := v.uint16(vtable + int64(4+2*i))
	if offset == 0 {
		return 0
	}
	return at + offset
}

// follow returns where a reference leads.
func (v *verifier) follow(at int64) (int64, bool) {
	offset, ok := v.uint32(at)
	return at + offset, ok && offset > 0 && at+offset+4 <= int64(len(v.b))
}

// table looks a table over, and all that it refers to.
func (v *verifier) table(at int64, l *layout, depth int) error {
	if v.left--; v.left < 0 || depth > mostDepth {
		return fmt.Errorf("it is nested too deeply, or in itself")
	}
	back, ok := v.uint32(at)
	vtable := at - int64(int32(back))
	size, ok2 := v.uint16(vtable)
	length, ok3 := v.uint16(vtable + 2)
	if !ok || !ok2 || !ok3 || size < 4 || size%2 != 0 || vtable+size > int64(len(v.b)) || length < 4 || at+length > int64(len(v.b)) {
		return fmt.Errorf("there is no table at byte %d", at)
	}
	for i := range int(size-4) / 2 {
		offset, _ := v.uint16(vtable + int64(4+2*i))
		if offset == 0 {
			continue
		}
		if offset >= length {
			return fmt.Errorf("field %d of the table at byte %d lies outside of it", i, at)
		}
		if err := v.reference(at, i, (*l)[i], depth); err != nil {
			return err
		}
	}
	return nil
}

func (v *verifier) reference(at int64, i int, r reference, depth int) error {
	if r.kind == scalar {
		return nil
	}
	to, ok := v.follow(v.field(at, i))
	if !ok {
		return fmt.Errorf("field %d of the table at byte %d leads nowhere", i, at)
	}
	switch r.kind {
	case table:
		return v.table(to, r.to, depth+1)
	case union:
		tag := v.field(at, i-1)
		if tag == 0 || tag >= int64(len(v.b)) {
			return fmt.Errorf("the table at byte %d does not say what its field %d is", at, i)
		}
		return v.table(to, r.of(v.b[tag]), depth+1)
	}
	n, _ := v.uint32(to)
	item := map[kind]int64{text: 1, list: r.size, lists: 4}[r.kind]
	if to+4+n*item > int64(len(v.b)) {
		return fmt.Errorf("the list at byte %d claims %d items, more than there are bytes for", to, n)
	}
	if r.kind != lists {
		return nil
	}
	for k := range n {
		element, ok := v.follow(to + 4 + 4*k)
		if !ok {
			return fmt.Errorf("item %d of the list at byte %d leads nowhere", k, to)
		}
		if err := v.table(element, r.to, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// items returns where the items of a list lie, and how many they are; for fields that were looked over.
func (v *verifier) items(at int64, i int) (from, n int64) {
	f := v.field(at, i)
	if f == 0 {
		return 0, 0
	}
	from, _ = v.follow(f)
	n, _ = v.uint32(from)
	return from + 4, n
}

func (v *verifier) int64(at int64) int64 {
	if at <= 0 || at+8 > int64(len(v.b)) {
		return 0
	}
	return int64(binary.LittleEndian.Uint64(v.b[at:]))
}

// verified looks over a FlatBuffer and returns where its root is.
func verified(b []byte, l *layout) (v *verifier, root int64, err error) {
	v = &verifier{b: b, left: int64(len(b))*mostTablesPerKB/1024 + 1}
	root, ok := v.follow(0)
	if !ok {
		return nil, 0, fmt.Errorf("it has no root")
	}
	return v, root, v.table(root, l, 0)
}

// verify looks over a file's directory and the heads of its messages.
func verify(ctx context.Context, r io.ReaderAt, size int64) error {
	const tail = 4 + len(magic)
	end := make([]byte, tail)
	if size < int64(2*len(magic)+tail) {
		return fmt.Errorf("%d bytes are too few for an Arrow IPC file", size)
	}
	if err := readAt(r, end, size-int64(tail)); err != nil {
		return err
	}
	if string(end[4:]) != magic {
		return fmt.Errorf("it does not end with %s: is it an Arrow IPC file, and whole?", magic)
	}
	length := int64(binary.LittleEndian.Uint32(end))
	if length > size-int64(tail) || length > mostHead {
		return fmt.Errorf("its directory claims %d of %d bytes", length, size)
	}
	b := make([]byte, length)
	if err := readAt(r, b, size-int64(tail)-length); err != nil {
		return err
	}
	v, root, err := verified(b, &footerTable)
	if err != nil {
		return fmt.Errorf("its directory is damaged: %w", err)
	}
	if v.field(root, 1) == 0 {
		return fmt.Errorf("its directory is damaged: there is no schema")
	}
	for _, blocks := range []int{2, 3} { // dictionaries, batches
		from, n := v.items(root, blocks)
		for i := range n {
			if err := ctx.Err(); err != nil {
				return err
			}
			at := from + i*blockSize
			head, _ := v.uint32(at + 8)
			if err := verifyMessage(r, v.int64(at), head, v.int64(at+16), size); err != nil {
				return fmt.Errorf("message %d is damaged: %w", i, err)
			}
		}
	}
	return nil
}

// verifyMessage looks over the head of a message and the places of its buffers.
func verifyMessage(r io.ReaderAt, offset, head, body, size int64) error {
	if offset < 0 || head < 8 || head > mostHead || body < 0 || offset > size-head || body > size-head-offset {
		return fmt.Errorf("at byte %d it claims %d and %d bytes of a file of %d", offset, head, body, size)
	}
	b := make([]byte, head)
	if err := readAt(r, b, offset); err != nil {
		return err
	}
	if binary.LittleEndian.Uint32(b) == 1<<32-1 { // since version 0.15
		b = b[4:]
	}
	length := int64(binary.LittleEndian.Uint32(b))
	b = b[4:]
	if length > int64(len(b)) {
		return fmt.Errorf("its head claims %d bytes of %d", length, len(b))
	}
	v, root, err := verified(b[:length], &messageTable)
	if err != nil {
		return err
	}
	batch := v.field(root, 2)
	tag := v.field(root, 1)
	if batch == 0 || tag == 0 {
		return fmt.Errorf("it is empty")
	}
	batch, _ = v.follow(batch)
	if v.b[tag] == headDictionary {
		if batch = v.field(batch, 1); batch == 0 {
			return fmt.Errorf("its dictionary is empty")
		}
		batch, _ = v.follow(batch)
	} else if v.b[tag] != headBatch {
		return fmt.Errorf("it is neither a record batch nor a dictionary")
	}
	if rows := v.field(batch, 0); v.int64(rows) < 0 {
		return fmt.Errorf("it claims %d rows", v.int64(rows))
	}
	nodes, n := v.items(batch, 1)
	for i := range n {
		if rows, nulls := v.int64(nodes+16*i), v.int64(nodes+16*i+8); rows < 0 || nulls < -1 || nulls > rows {
			return fmt.Errorf("column %d claims %d rows, %d of them null", i, rows, nulls)
		}
	}
	buffers, n := v.items(batch, 2)
	for i := range n {
		if at, length := v.int64(buffers+16*i), v.int64(buffers+16*i+8); at < 0 || length < 0 || at > body || length > body-at {
			return fmt.Errorf("buffer %d claims %d bytes from byte %d on, of a body of %d", i, length, at, body)
		}
	}
	return nil
}

func readAt(r io.ReaderAt, p []byte, offset int64) error {
	n, err := r.ReadAt(p, offset)
	if n == len(p) {
		return nil
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}
