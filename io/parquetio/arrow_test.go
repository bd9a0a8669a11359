package parquetio

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	arrowparquet "github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	arrowfile "github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/schema"

	"github.com/spark-go/spark-go/io/filesys"
)

// other is what arrow-go writes in TestArrowFiles.
type other struct {
	B  *bool
	I  *int32
	L  *int64
	F  *float32
	D  float64
	S  *string
	U  [16]byte
	T  *time.Time
	Li []int64
}

// writeWithArrow makes a file of so many row groups with arrow-go.
func writeWithArrow(t *testing.T, rows []other, groups int, options ...arrowparquet.WriterProperty) filesys.Info {
	t.Helper()
	opt, req := arrowparquet.Repetitions.Optional, arrowparquet.Repetitions.Required
	leaf := func(name string, r arrowparquet.Repetition, p arrowparquet.Type) schema.Node {
		return schema.MustPrimitive(schema.NewPrimitiveNode(name, r, p, -1, -1))
	}
	element := leaf("element", req, arrowparquet.Types.Int64)
	list := schema.MustGroup(schema.NewGroupNode("list", arrowparquet.Repetitions.Repeated, schema.FieldList{element}, -1))
	root := schema.MustGroup(schema.NewGroupNode("schema", req, schema.FieldList{
		leaf("b", opt, arrowparquet.Types.Boolean),
		leaf("i", opt, arrowparquet.Types.Int32),
		leaf("l", opt, arrowparquet.Types.Int64),
		leaf("f", opt, arrowparquet.Types.Float),
		leaf("d", req, arrowparquet.Types.Double),
		schema.MustPrimitive(schema.NewPrimitiveNodeLogical("s", opt, schema.StringLogicalType{}, arrowparquet.Types.ByteArray, -1, -1)),
		schema.MustPrimitive(schema.NewPrimitiveNodeLogical("u", req, schema.UUIDLogicalType{}, arrowparquet.Types.FixedLenByteArray, 16, -1)),
		leaf("t", opt, arrowparquet.Types.Int96),
		schema.MustGroup(schema.NewGroupNodeLogical("li", opt, schema.FieldList{list}, schema.NewListLogicalType(), -1)),
	}, -1))
	var buf bytes.Buffer
	w := arrowfile.NewParquetWriter(&buf, root, arrowfile.WithWriterProps(arrowparquet.NewWriterProperties(options...)))
	per := (len(rows) + groups - 1) / groups
	for g := range groups {
		part := rows[g*per : min(len(rows), (g+1)*per)]
		rg := w.AppendRowGroup()
		next := func() arrowfile.ColumnChunkWriter {
			c, err := rg.NextColumn()
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		check := func(_ int64, err error) {
			if err != nil {
				t.Fatal(err)
			}
		}
		def := make([]int16, len(part))
		column := func(there func(other) bool) {
			for i, r := range part {
				def[i] = 0
				if there(r) {
					def[i] = 1
				}
			}
		}
		c := next()
		column(func(r other) bool { return r.B != nil })
		var bs []bool
		for _, r := range part {
			if r.B != nil {
				bs = append(bs, *r.B)
			}
		}
		check(c.(*arrowfile.BooleanColumnChunkWriter).WriteBatch(bs, def, nil))
		c = next()
		var is []int32
		for _, r := range part {
			if r.I != nil {
				is = append(is, *r.I)
			}
		}
		column(func(r other) bool { return r.I != nil })
		check(c.(*arrowfile.Int32ColumnChunkWriter).WriteBatch(is, def, nil))
		c = next()
		var ls []int64
		for _, r := range part {
			if r.L != nil {
				ls = append(ls, *r.L)
			}
		}
		column(func(r other) bool { return r.L != nil })
		check(c.(*arrowfile.Int64ColumnChunkWriter).WriteBatch(ls, def, nil))
		c = next()
		var fs []float32
		for _, r := range part {
			if r.F != nil {
				fs = append(fs, *r.F)
			}
		}
		column(func(r other) bool { return r.F != nil })
		check(c.(*arrowfile.Float32ColumnChunkWriter).WriteBatch(fs, def, nil))
		c = next()
		var ds []float64
		for _, r := range part {
			ds = append(ds, r.D)
		}
		check(c.(*arrowfile.Float64ColumnChunkWriter).WriteBatch(ds, nil, nil))
		c = next()
		var ss []arrowparquet.ByteArray
		for _, r := range part {
			if r.S != nil {
				ss = append(ss, arrowparquet.ByteArray(*r.S))
			}
		}
		column(func(r other) bool { return r.S != nil })
		check(c.(*arrowfile.ByteArrayColumnChunkWriter).WriteBatch(ss, def, nil))
		c = next()
		var us []arrowparquet.FixedLenByteArray
		for _, r := range part {
			us = append(us, r.U[:])
		}
		check(c.(*arrowfile.FixedLenByteArrayColumnChunkWriter).WriteBatch(us, nil, nil))
		c = next()
		var ts []arrowparquet.Int96
		for _, r := range part {
			if r.T != nil {
				var v arrowparquet.Int96
				nanos := r.T.UnixNano()
				binary.LittleEndian.PutUint64(v[:8], uint64(nanos%86400e9))
				binary.LittleEndian.PutUint32(v[8:], uint32(nanos/86400e9)+2440588)
				ts = append(ts, v)
			}
		}
		column(func(r other) bool { return r.T != nil })
		check(c.(*arrowfile.Int96ColumnChunkWriter).WriteBatch(ts, def, nil))
		c = next()
		var li []int64
		var ldef, lrep []int16
		for _, r := range part {
			switch {
			case r.Li == nil:
				ldef, lrep = append(ldef, 0), append(lrep, 0)
			case len(r.Li) == 0:
				ldef, lrep = append(ldef, 1), append(lrep, 0)
			}
			for i, v := range r.Li {
				li, ldef, lrep = append(li, v), append(ldef, 2), append(lrep, int16(min(i, 1)))
			}
		}
		check(c.(*arrowfile.Int64ColumnChunkWriter).WriteBatch(li, ldef, lrep))
		if err := rg.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	uri := "mem://arrow/x.parquet"
	if err := filesys.WriteFile(t.Context(), uri, buf.Bytes()); err != nil {
		t.Fatal(err)
	}
	return statFor(t, uri)
}

func TestArrowFiles(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	rows := make([]other, 3001)
	for i := range rows {
		r := other{D: rng.Float64(), U: [16]byte{byte(i), byte(i >> 8)}}
		if rng.IntN(3) > 0 {
			r.B, r.I, r.L, r.F = ptr(rng.IntN(2) == 0), ptr(rng.Int32N(1000)), ptr(rng.Int64()), ptr(rng.Float32())
			r.Li = []int64{}
		}
		if rng.IntN(5) > 0 {
			r.S, r.T = ptr(fmt.Sprint("s", rng.IntN(3000))), ptr(time.Unix(0, rng.Int64N(1<<60)).UTC())
		}
		if r.Li != nil {
			for range rng.IntN(5) {
				r.Li = append(r.Li, rng.Int64N(100))
			}
		}
		rows[i] = r
	}
	for _, codec := range []compress.Compression{
		compress.Codecs.Snappy, compress.Codecs.Zstd, compress.Codecs.Gzip, compress.Codecs.Brotli, compress.Codecs.Uncompressed, compress.Codecs.Lz4Raw,
	} {
		for version, page := range map[string]arrowparquet.DataPageVersion{"v1": arrowparquet.DataPageV1, "v2": arrowparquet.DataPageV2} {
			for _, dict := range []bool{true, false} {
				name := fmt.Sprintf("%v %s dictionary %v", codec, version, dict)
				info := writeWithArrow(t, rows, 3, arrowparquet.WithCompression(codec),
					arrowparquet.WithDataPageVersion(page), arrowparquet.WithDictionaryDefault(dict), arrowparquet.WithDataPageSize(3000))
				got, err := read[other](t, info)
				if err != nil {
					t.Errorf("%s: %v", name, err)
					continue
				}
				if len(got) != len(rows) {
					t.Errorf("%s: %d rows", name, len(got))
					continue
				}
				for i := range got {
					if !reflect.DeepEqual(got[i], rows[i]) {
						t.Errorf("%s: row %d is\n%+v, want\n%+v", name, i, got[i], rows[i])
						break
					}
				}
			}
		}
	}
}
