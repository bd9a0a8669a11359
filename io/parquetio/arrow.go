package parquetio

import (
	"fmt"
	"io"

	arrowparquet "github.com/apache/arrow-go/v18/parquet"
	arrowfile "github.com/apache/arrow-go/v18/parquet/file"
	"github.com/parquet-go/parquet-go/deprecated"
	"github.com/parquet-go/parquet-go/encoding"
)

// arrowFile is the same file open with arrow-go, for the column chunks that
// parquet-go reads wrongly.
type arrowFile struct{ reader *arrowfile.Reader }

func (a *arrowFile) close() error {
	if a.reader == nil {
		return nil
	}
	r := a.reader
	a.reader = nil
	return r.Close()
}

func (f *file) arrowPages(group int, n *node) (pages, error) {
	if f.arrow.reader == nil {
		r, err := arrowfile.NewParquetReader(io.NewSectionReader(f.source, 0, f.source.Size()))
		if err != nil {
			return nil, err
		}
		f.arrow.reader = r
	}
	column, err := f.arrow.reader.RowGroup(group).Column(n.leaf)
	if err != nil {
		return nil, err
	}
	return &arrowPages{column: column, node: n}, nil
}

// arrowBatch is how many entries are read at a time.
const arrowBatch = 16 << 10

// arrowPages reads a column chunk with arrow-go, dictionaries resolved.
type arrowPages struct {
	column       arrowfile.ColumnChunkReader
	node         *node
	def16, rep16 []int16
	def, rep     []byte
	buffers      any // of the column's type, reused
}

func (a *arrowPages) close() error { return a.column.Close() }

func (a *arrowPages) next() (page, error) {
	if !a.column.HasNext() {
		if err := a.column.Err(); err != nil { // false means the end or an error
			return page{}, err
		}
		return page{}, io.EOF
	}
	if a.node.maxDef > 0 && a.def16 == nil {
		a.def16 = make([]int16, arrowBatch)
	}
	if a.node.maxRep > 0 && a.rep16 == nil {
		a.rep16 = make([]int16, arrowBatch)
	}
	var entries int64
	var count int
	var values encoding.Values
	var err error
	switch c := a.column.(type) {
	case *arrowfile.BooleanColumnChunkReader:
		buf := reuse[bool](a)
		entries, count, err = c.ReadBatch(arrowBatch, buf, a.def16, a.rep16)
		bits := make([]byte, (count+7)/8)
		for i, b := range buf[:count] {
			if b {
				bits[i/8] |= 1 << (i % 8)
			}
		}
		values = encoding.BooleanValues(bits)
	case *arrowfile.Int32ColumnChunkReader:
		buf := reuse[int32](a)
		entries, count, err = c.ReadBatch(arrowBatch, buf, a.def16, a.rep16)
		values = encoding.Int32Values(buf[:count])
	case *arrowfile.Int64ColumnChunkReader:
		buf := reuse[int64](a)
		entries, count, err = c.ReadBatch(arrowBatch, buf, a.def16, a.rep16)
		values = encoding.Int64Values(buf[:count])
	case *arrowfile.Float32ColumnChunkReader:
		buf := reuse[float32](a)
		entries, count, err = c.ReadBatch(arrowBatch, buf, a.def16, a.rep16)
		values = encoding.FloatValues(buf[:count])
	case *arrowfile.Float64ColumnChunkReader:
		buf := reuse[float64](a)
		entries, count, err = c.ReadBatch(arrowBatch, buf, a.def16, a.rep16)
		values = encoding.DoubleValues(buf[:count])
	case *arrowfile.Int96ColumnChunkReader:
		buf := reuse[arrowparquet.Int96](a)
		entries, count, err = c.ReadBatch(arrowBatch, buf, a.def16, a.rep16)
		out := make([]deprecated.Int96, count)
		for i, v := range buf[:count] {
			for j := range out[i] {
				out[i][j] = uint32(v[4*j]) | uint32(v[4*j+1])<<8 | uint32(v[4*j+2])<<16 | uint32(v[4*j+3])<<24
			}
		}
		values = encoding.Int96Values(out)
	case *arrowfile.ByteArrayColumnChunkReader:
		buf := reuse[arrowparquet.ByteArray](a)
		entries, count, err = c.ReadBatch(arrowBatch, buf, a.def16, a.rep16)
		var data []byte
		offsets := make([]uint32, 1, count+1)
		for _, v := range buf[:count] {
			data = append(data, v...)
			offsets = append(offsets, uint32(len(data)))
		}
		values = encoding.ByteArrayValues(data, offsets)
	case *arrowfile.FixedLenByteArrayColumnChunkReader:
		buf := reuse[arrowparquet.FixedLenByteArray](a)
		entries, count, err = c.ReadBatch(arrowBatch, buf, a.def16, a.rep16)
		data := make([]byte, 0, count*a.node.size)
		for _, v := range buf[:count] {
			data = append(data, v...)
		}
		values = encoding.FixedLenByteArrayValues(data, a.node.size)
	default:
		return page{}, fmt.Errorf("its physical type %v is not supported", a.column.Type())
	}
	if err != nil {
		return page{}, err
	}
	if entries == 0 {
		return page{}, io.ErrUnexpectedEOF
	}
	p := page{entries: int(entries), count: count, values: values}
	if a.node.maxDef > 0 {
		a.def = narrow(a.def, a.def16[:entries])
		p.def = a.def
	}
	if a.node.maxRep > 0 {
		a.rep = narrow(a.rep, a.rep16[:entries])
		p.rep = a.rep
	}
	return p, nil
}

func reuse[V any](a *arrowPages) []V {
	if buf, ok := a.buffers.([]V); ok {
		return buf
	}
	buf := make([]V, arrowBatch)
	a.buffers = buf
	return buf
}

func narrow(dst []byte, levels []int16) []byte {
	dst = dst[:0]
	for _, l := range levels {
		dst = append(dst, byte(l))
	}
	return dst
}
