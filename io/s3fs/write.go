package s3fs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/spark-go/spark-go/io/filesys"
)

const (
	maxParts     = 10_000 // S3's
	evenParts    = 1_000  // parts of the size that was set; from then on they grow
	partStep     = 132 << 10
	inFlight     = 4        // parts of one file on their way
	maxInFlight  = 64 << 20 // bytes of them, unless one part is larger
	cleanTimeout = 30 * time.Second
	tagKey       = "spark-go-upload" // metadata that says by which upload an object was made
)

// partSize is the size of the n-th part, from 0: with the default of 8 MiB, 10,000 parts make 5.2 TiB, and no file under 8 GiB pays for that.
func (o options) part(n int) int {
	size := o.partSize
	if n > evenParts {
		size += int64(n-evenParts) * partStep
	}
	return int(min(size, 4<<30))
}

// writer collects a file in memory up to the size of a part. What fits in one part is one PUT; more becomes a multipart
// upload, whose parts travel while the next is written.
type writer struct {
	b       *bucket
	ctx     context.Context
	path    string
	pending bool // always an upload, left uncompleted
	buf     []byte
	done    bool
	err     error // of the first write that failed
	token   string

	upload *upload
}

// upload is a multipart upload under way.
type upload struct {
	id, tag string
	next    int // part number less one
	size    int64
	flying  int64
	wg      sync.WaitGroup

	mu    sync.Mutex
	room  *sync.Cond
	parts []part
	err   error
	free  [][]byte
}

// part is what completing an upload needs to know of one of its parts.
type part struct {
	Number int32  `json:"n"`
	ETag   string `json:"e"`
	CRC32  string `json:"c"`
}

// Create implements filesys.FS. The context governs all writes to the file too.
func (b *bucket) Create(ctx context.Context, path string) (filesys.Writer, error) {
	w, err := b.newWriter(ctx, path)
	if err != nil {
		return nil, err
	}
	return w, nil
}

func (b *bucket) newWriter(ctx context.Context, path string) (*writer, error) {
	if key(path) == "" {
		return nil, b.fail("create", path, errors.New("it is a bucket, not a file"))
	}
	if err := ctx.Err(); err != nil {
		return nil, b.fail("create", path, err)
	}
	return &writer{b: b, ctx: ctx, path: path}, nil
}

// CreateExclusive implements filesys.ExclusiveCreator.
func (b *bucket) CreateExclusive(ctx context.Context, path string, content []byte) error {
	k := key(path)
	_, err := b.client.PutObject(ctx, &s3.PutObjectInput{Bucket: &b.name, Key: &k, Body: bytes.NewReader(content), IfNoneMatch: aws.String("*")})
	if code := statusOf(err); code == 409 { // two conditional writers at once: AWS tells one of them to try again
		return b.fail("create", path, fs.ErrExist)
	}
	return b.fail("create", path, err)
}

// Write implements io.Writer.
func (w *writer) Write(p []byte) (int, error) {
	if w.done {
		return 0, w.b.fail("write", w.path, os.ErrClosed)
	}
	if w.err != nil {
		return 0, w.err
	}
	written := 0
	for len(p) > 0 {
		n := 0
		if w.upload != nil {
			n = w.upload.next
		}
		size := w.b.opts.part(n)
		if len(w.buf) == size {
			// Only now is it known that this part is not the last one.
			if w.err = w.flush(); w.err != nil {
				return written, w.err
			}
			continue
		}
		if w.buf == nil && w.upload != nil {
			w.buf = w.upload.buffer(size)
		}
		m := min(len(p), size-len(w.buf))
		w.buf = append(w.buf, p[:m]...)
		p = p[m:]
		written += m
	}
	return written, nil
}

// flush sends the collected part on its way.
func (w *writer) flush() error {
	if err := w.begin(); err != nil {
		return err
	}
	u := w.upload
	if u.next >= maxParts {
		return w.b.fail("write", w.path, fmt.Errorf("the file is larger than the %d parts that S3 allows: raise spark.hadoop.fs.s3a.multipart.size, or use more partitions", maxParts))
	}
	u.next++
	number, body := int32(u.next), w.buf
	w.buf = nil
	if err := u.admit(int64(len(body))); err != nil {
		return w.b.fail("write", w.path, err)
	}
	u.size += int64(len(body))
	u.wg.Go(func() {
		k := key(w.path)
		out, err := w.b.client.UploadPart(w.ctx, &s3.UploadPartInput{
			Bucket: &w.b.name, Key: &k, UploadId: &u.id, PartNumber: &number, Body: bytes.NewReader(body), ChecksumAlgorithm: types.ChecksumAlgorithmCrc32,
		})
		u.mu.Lock()
		defer u.mu.Unlock()
		u.flying -= int64(len(body))
		u.room.Broadcast()
		if err != nil {
			if u.err == nil {
				u.err = err
			}
			return
		}
		u.parts = append(u.parts, part{number, aws.ToString(out.ETag), aws.ToString(out.ChecksumCRC32)})
		u.free = append(u.free, body[:0])
	})
	return nil
}

// admit waits until another part may be sent, and counts it.
func (u *upload) admit(n int64) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	for u.err == nil && u.flying > 0 && u.flying+n > min(maxInFlight, inFlight*n) {
		u.room.Wait()
	}
	u.flying += n
	return u.err
}

// buffer is memory for the next part, used again if there is any.
func (u *upload) buffer(size int) []byte {
	u.mu.Lock()
	defer u.mu.Unlock()
	for len(u.free) > 0 {
		b := u.free[len(u.free)-1]
		u.free = u.free[:len(u.free)-1]
		if cap(b) >= size {
			return b
		}
	}
	return make([]byte, 0, size)
}

// begin starts the multipart upload.
func (w *writer) begin() error {
	if w.upload != nil {
		return nil
	}
	k, tag := key(w.path), newTag()
	out, err := w.b.client.CreateMultipartUpload(w.ctx, &s3.CreateMultipartUploadInput{
		Bucket: &w.b.name, Key: &k, ChecksumAlgorithm: types.ChecksumAlgorithmCrc32, Metadata: map[string]string{tagKey: tag},
	})
	if err != nil {
		return w.b.fail("create", w.path, err)
	}
	w.upload = &upload{id: aws.ToString(out.UploadId), tag: tag}
	w.upload.room = sync.NewCond(&w.upload.mu)
	return nil
}

// Close implements filesys.Writer.
func (w *writer) Close() error {
	if w.done {
		return nil
	}
	w.done = true
	if w.err != nil {
		return errors.Join(w.err, w.discard())
	}
	if w.upload == nil && !w.pending {
		k := key(w.path)
		_, err := w.b.client.PutObject(w.ctx, &s3.PutObjectInput{Bucket: &w.b.name, Key: &k, Body: bytes.NewReader(w.buf)})
		w.buf = nil
		return w.b.fail("write", w.path, err)
	}
	err := w.finish()
	if err != nil {
		return errors.Join(err, w.discard())
	}
	return nil
}

// finish sends the last part, waits for all, and completes the upload or makes the token for doing so.
func (w *writer) finish() error {
	// An upload needs a part, if an empty one.
	if len(w.buf) > 0 || w.upload == nil {
		if err := w.flush(); err != nil {
			return err
		}
	}
	u := w.upload
	u.wg.Wait()
	if u.err != nil {
		return w.b.fail("write", w.path, u.err)
	}
	slices.SortFunc(u.parts, func(a, b part) int { return int(a.Number) - int(b.Number) })
	t := token{Upload: u.id, Tag: u.tag, Size: u.size, Parts: u.parts}
	if w.pending {
		w.token = t.String()
		return nil
	}
	return w.b.complete(w.ctx, w.path, t)
}

// Abort implements filesys.Writer.
func (w *writer) Abort() error {
	if w.done {
		return nil
	}
	w.done = true
	return w.discard()
}

// discard aborts the upload, also when the context has ended.
func (w *writer) discard() error {
	w.buf = nil
	u := w.upload
	if u == nil {
		return nil
	}
	u.wg.Wait() // a part that arrives after the abort would be kept, and charged for
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.ctx), cleanTimeout)
	defer cancel()
	return w.b.abort(ctx, w.path, u.id)
}

func (b *bucket) abort(ctx context.Context, path, id string) error {
	k := key(path)
	_, err := b.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &b.name, Key: &k, UploadId: &id})
	if err = b.fail("abort the upload of", path, err); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// complete makes an upload visible. The answer to a first attempt may have been lost, so an unknown upload is fine if the object carries its tag.
func (b *bucket) complete(ctx context.Context, path string, t token) error {
	k := key(path)
	parts := make([]types.CompletedPart, len(t.Parts))
	for i := range t.Parts {
		p := &t.Parts[i]
		parts[i] = types.CompletedPart{PartNumber: &p.Number, ETag: &p.ETag}
		if p.CRC32 != "" {
			parts[i].ChecksumCRC32 = &p.CRC32
		}
	}
	_, err := b.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: &b.name, Key: &k, UploadId: &t.Upload, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
	})
	if err == nil {
		return nil
	}
	if failed := b.fail("publish", path, err); !errors.Is(failed, fs.ErrNotExist) {
		return failed
	}
	head, herr := b.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &b.name, Key: &k})
	if herr == nil && head.Metadata[tagKey] == t.Tag && aws.ToInt64(head.ContentLength) == t.Size {
		return nil
	}
	if herr = b.fail("publish", path, herr); herr != nil && !errors.Is(herr, fs.ErrNotExist) {
		return herr
	}
	return b.fail("publish", path, fmt.Errorf("%w: its multipart upload was aborted, by another job, by spark-go clean or by a rule of the bucket", fs.ErrNotExist))
}

// Rename implements filesys.FS by copies within the store. It is not atomic.
func (b *bucket) Rename(ctx context.Context, from, to string) error {
	info, err := b.Stat(ctx, from)
	if err != nil {
		return err
	}
	if from == to {
		return nil
	}
	if !info.IsDir {
		if err := b.copy(ctx, from, to, info.Size); err != nil {
			return err
		}
		return b.Remove(ctx, from)
	}
	if strings.HasPrefix(to, from+"/") {
		return b.fail("rename", from, fs.ErrInvalid)
	}
	for o, err := range b.Walk(ctx, from) {
		if err == nil {
			err = b.copy(ctx, o.Path, to+strings.TrimPrefix(o.Path, from), o.Size)
		}
		if err != nil {
			return err
		}
	}
	return b.RemoveAll(ctx, from)
}

const (
	maxCopy  = 5 << 30 // of one request, S3's
	copyPart = 512 << 20
)

func (b *bucket) copy(ctx context.Context, from, to string, size int64) error {
	source, k := copySource(b.name, key(from)), key(to)
	if size <= maxCopy {
		_, err := b.client.CopyObject(ctx, &s3.CopyObjectInput{Bucket: &b.name, Key: &k, CopySource: &source})
		return b.fail("copy", from, err)
	}
	out, err := b.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &b.name, Key: &k, ChecksumAlgorithm: types.ChecksumAlgorithmCrc32})
	if err != nil {
		return b.fail("copy", from, err)
	}
	t := token{Upload: aws.ToString(out.UploadId), Size: size}
	length := max(copyPart, (size+maxParts-1)/maxParts)
	for off := int64(0); off < size; off += length {
		number := int32(len(t.Parts) + 1)
		rng := fmt.Sprintf("bytes=%d-%d", off, min(off+length, size)-1)
		p, err := b.client.UploadPartCopy(ctx, &s3.UploadPartCopyInput{Bucket: &b.name, Key: &k, UploadId: &t.Upload, PartNumber: &number, CopySource: &source, CopySourceRange: &rng})
		if err != nil {
			clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTimeout)
			defer cancel()
			return errors.Join(b.fail("copy", from, err), b.abort(clean, to, t.Upload))
		}
		t.Parts = append(t.Parts, part{number, aws.ToString(p.CopyPartResult.ETag), aws.ToString(p.CopyPartResult.ChecksumCRC32)})
	}
	return b.complete(ctx, to, t)
}
