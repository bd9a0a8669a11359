package s3fs

import (
	"bytes"
	"io"
	"strconv"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/spark-go/spark-go/io/filesys"
	"github.com/spark-go/spark-go/io/internal/storetest"
)

const benchSize = 128 << 20

func benchBucket(b *testing.B) *bucket {
	g := startGateway(b)
	use(b, g.addr, nil)
	s := makeBucket(b, "bench")
	if err := write(b.Context(), "s3://bench/f", pattern(benchSize)); err != nil {
		b.Fatal(err)
	}
	return s
}

// discard lets go what is written to it, a buffer at a time.
var discard = struct{ io.Writer }{io.Discard}

// plainGet is a copy through the client as it is: one request for the bytes of a range, or of everything, read from end to end.
func plainGet(b *testing.B, s *bucket, w io.Writer, key string, rng *string, buf []byte, want int64) {
	out, err := s.client.GetObject(b.Context(), &s3.GetObjectInput{Bucket: &s.name, Key: &key, Range: rng})
	if err != nil {
		b.Fatal(err)
	}
	if n, err := io.CopyBuffer(w, out.Body, buf); err != nil || n != want {
		b.Fatal(n, err)
	}
	out.Body.Close()
}

func readFile(b *testing.B, from int64, buf []byte) {
	f, err := filesys.Open(b.Context(), "s3://bench/f")
	if err != nil {
		b.Fatal(err)
	}
	for off := from; off < f.Size(); {
		n, err := f.ReadAt(buf, off)
		if off += int64(n); n < len(buf) && off < f.Size() {
			b.Fatal(n, err)
		}
	}
	f.Close()
}

// BenchmarkCompareRead reads an object in reads of several sizes, beside one plain request for all of it; and half of it, beside one for that half.
func BenchmarkCompareRead(b *testing.B) {
	s := benchBucket(b)
	buf := make([]byte, 1<<20)
	for _, size := range []int{32 << 10, 256 << 10, 1 << 20, 32 << 20} {
		b.Run("all/"+strconv.Itoa(size>>10)+"k", func(b *testing.B) {
			p := make([]byte, size)
			storetest.Compare(b, benchSize, func() { plainGet(b, s, discard, "f", nil, buf, benchSize) }, func() { readFile(b, 0, p) })
		})
	}
	b.Run("half/1024k", func(b *testing.B) {
		rng := "bytes=" + strconv.Itoa(benchSize/2) + "-"
		storetest.Compare(b, benchSize/2, func() { plainGet(b, s, discard, "f", &rng, buf, benchSize/2) }, func() { readFile(b, benchSize/2, make([]byte, 1<<20)) })
	})
}

// BenchmarkCompareWrite writes a file, alone and by a commit, beside a plain multipart upload through the same client, four parts at a time.
func BenchmarkCompareWrite(b *testing.B) {
	s := benchBucket(b)
	ctx := b.Context()
	content := pattern(benchSize)
	plain := func() { plainUpload(b, s, "p", bytes.NewReader(content)) }
	b.Run("file", func(b *testing.B) {
		storetest.Compare(b, benchSize, plain, func() {
			if err := write(ctx, "s3://bench/g", content); err != nil {
				b.Fatal(err)
			}
		})
	})
	b.Run("output", func(b *testing.B) {
		storetest.Compare(b, benchSize, plain, func() {
			o, err := filesys.NewOutput(ctx, "s3://bench/out", filesys.Overwrite)
			if err != nil {
				b.Fatal(err)
			}
			w, err := o.CreateTask(ctx, 0, "")
			if err == nil {
				if _, err = w.Write(content); err == nil {
					err = w.Close()
				}
			}
			if err == nil {
				err = o.Commit(ctx, []filesys.TaskFile{w.File(1)})
			}
			if err != nil {
				b.Fatal(err)
			}
		})
	})
}

// plainUpload is a plain multipart upload of what comes from r, four parts at a time.
func plainUpload(b *testing.B, s *bucket, key string, r io.Reader) {
	ctx := b.Context()
	up, err := s.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &s.name, Key: &key, ChecksumAlgorithm: types.ChecksumAlgorithmCrc32})
	if err != nil {
		b.Error(err)
		return
	}
	var parts []*types.CompletedPart
	buffers := make(chan []byte, 4)
	for range cap(buffers) {
		buffers <- make([]byte, defaultPartSize)
	}
	var wg sync.WaitGroup
	for ended := false; !ended; {
		buf := <-buffers
		n, err := io.ReadFull(r, buf)
		if ended = err != nil; ended && err != io.EOF && err != io.ErrUnexpectedEOF {
			b.Error(err)
		}
		if n == 0 {
			break
		}
		part := &types.CompletedPart{PartNumber: aws.Int32(int32(len(parts) + 1))}
		parts = append(parts, part)
		wg.Go(func() {
			defer func() { buffers <- buf }()
			out, err := s.client.UploadPart(ctx, &s3.UploadPartInput{
				Bucket: &s.name, Key: &key, UploadId: up.UploadId, PartNumber: part.PartNumber,
				Body: bytes.NewReader(buf[:n]), ChecksumAlgorithm: types.ChecksumAlgorithmCrc32,
			})
			if err != nil {
				b.Error(err)
				return
			}
			part.ETag, part.ChecksumCRC32 = out.ETag, out.ChecksumCRC32
		})
	}
	wg.Wait()
	whole := &types.CompletedMultipartUpload{}
	for _, part := range parts {
		whole.Parts = append(whole.Parts, *part)
	}
	if _, err := s.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: &s.name, Key: &key, UploadId: up.UploadId, MultipartUpload: whole,
	}); err != nil {
		b.Error(err)
	}
}

// BenchmarkList lists a prefix of many objects; memory stays that of a page.
func BenchmarkList(b *testing.B) {
	g := startGateway(b)
	use(b, g.addr, nil)
	s := makeBucket(b, "list")
	const n = 3000
	for i := range n {
		if err := s.CreateExclusive(b.Context(), "/d/"+strconv.Itoa(i), nil); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		found := 0
		for _, err := range filesys.Walk(b.Context(), "s3://list/d") {
			if err != nil {
				b.Fatal(err)
			}
			found++
		}
		if found != n {
			b.Fatal(found)
		}
	}
	b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "objects/s")
}
