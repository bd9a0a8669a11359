package s3fs

import (
	"bytes"
	"context"
	"io"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/spark-go/spark-go/io/filesys"
)

const benchSize = 128 << 20

// cpu reports the CPU time of this process, besides the wall time in which the server takes its share of the same cores.
func cpu(b *testing.B, f func()) {
	var from, to syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &from)
	b.SetBytes(benchSize)
	for b.Loop() {
		f()
	}
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &to)
	used := time.Duration(to.Utime.Nano() + to.Stime.Nano() - from.Utime.Nano() - from.Stime.Nano())
	b.ReportMetric(used.Seconds()*1000/float64(b.N), "cpu-ms/op")
}

func benchBucket(b *testing.B) *bucket {
	g := startGateway(b)
	use(b, g.addr, nil)
	s := makeBucket(b, "bench")
	if err := write(b.Context(), "s3://bench/f", pattern(benchSize)); err != nil {
		b.Fatal(err)
	}
	return s
}

// BenchmarkRead compares files with a plain copy through the same client: one request that is read from end to end.
func BenchmarkRead(b *testing.B) {
	s := benchBucket(b)
	ctx := b.Context()
	b.Run("plain", func(b *testing.B) {
		buf := make([]byte, 1<<20)
		cpu(b, func() {
			out, err := s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.name, Key: aws.String("f")})
			if err != nil {
				b.Fatal(err)
			}
			if n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, out.Body, buf); err != nil || n != benchSize {
				b.Fatal(n, err)
			}
			out.Body.Close()
		})
	})
	// The same bytes in requests of 8 MiB, one after the other: what the server makes of ranges.
	b.Run("plain/ranges", func(b *testing.B) {
		buf := make([]byte, 8<<20)
		cpu(b, func() {
			for off := 0; off < benchSize; off += len(buf) {
				out, err := s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.name, Key: aws.String("f"), Range: aws.String("bytes=" + strconv.Itoa(off) + "-" + strconv.Itoa(off+len(buf)-1))})
				if err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(out.Body, buf); err != nil {
					b.Fatal(err)
				}
				out.Body.Close()
			}
		})
	})
	for _, size := range []int{256 << 10, 1 << 20, 32 << 20} {
		b.Run("file/"+strconv.Itoa(size>>10)+"k", func(b *testing.B) {
			buf := make([]byte, size)
			cpu(b, func() {
				f, err := filesys.Open(ctx, "s3://bench/f")
				if err != nil {
					b.Fatal(err)
				}
				for off := int64(0); off < f.Size(); off += int64(size) {
					if n, err := f.ReadAt(buf, off); n < len(buf) {
						b.Fatal(n, err)
					}
				}
				f.Close()
			})
		})
	}
}

// BenchmarkWrite compares files with a plain multipart upload through the same client, four parts at a time.
func BenchmarkWrite(b *testing.B) {
	s := benchBucket(b)
	ctx := b.Context()
	content := pattern(benchSize)
	b.Run("plain", func(b *testing.B) {
		cpu(b, func() { plainUpload(b, ctx, s, content) })
	})
	b.Run("file", func(b *testing.B) {
		cpu(b, func() {
			if err := write(ctx, "s3://bench/g", content); err != nil {
				b.Fatal(err)
			}
		})
	})
	b.Run("output", func(b *testing.B) {
		cpu(b, func() {
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

func plainUpload(b *testing.B, ctx context.Context, s *bucket, content []byte) {
	k := aws.String("p")
	up, err := s.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &s.name, Key: k, ChecksumAlgorithm: types.ChecksumAlgorithmCrc32})
	if err != nil {
		b.Fatal(err)
	}
	parts := make([]types.CompletedPart, benchSize/defaultPartSize)
	slots := make(chan struct{}, 4)
	var wg sync.WaitGroup
	for i := range parts {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			out, err := s.client.UploadPart(ctx, &s3.UploadPartInput{
				Bucket: &s.name, Key: k, UploadId: up.UploadId, PartNumber: aws.Int32(int32(i + 1)),
				Body: bytes.NewReader(content[i*defaultPartSize:][:defaultPartSize]), ChecksumAlgorithm: types.ChecksumAlgorithmCrc32,
			})
			if err != nil {
				b.Error(err)
				return
			}
			parts[i] = types.CompletedPart{ETag: out.ETag, ChecksumCRC32: out.ChecksumCRC32, PartNumber: aws.Int32(int32(i + 1))}
		})
	}
	wg.Wait()
	if _, err := s.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: &s.name, Key: k, UploadId: up.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
	}); err != nil {
		b.Fatal(err)
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
