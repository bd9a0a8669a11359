// Package s3fs reads and writes objects of S3 and of stores that speak its protocol as files. Importing it registers the schemes s3:// and
// s3a:// with filesys; the authority is the bucket.
//
// What holds:
//   - A directory is a prefix: it exists as long as an object lies below it, and making one does nothing. An object whose
//     name ends with a slash is a marker and no file.
//   - An object is what it was when it was opened. Every request names its entity tag; when the object was replaced in
//     between, the read fails with filesys.ErrChanged. A response that had begun goes on with what the object was. The nanoseconds of a modification time, which S3 gives in seconds, are
//     a hash of the entity tag, so that a listing and a later opening agree on them exactly if they saw the same object.
//   - Nothing of a file is visible before its Writer is closed: small files are one PUT, others a multipart upload, which is aborted on
//     failure. A killed process leaves uncompleted uploads; see filesys.Clean.
//   - Requests, and reads that break off half-way, are tried again with growing, random pauses. Errors that no
//     retry can heal (bucket, credentials, region) say what to do.
//   - What is sent is checksummed (CRC-32, per request and per part), what is read in ranges is not: Parquet pages and compressed
//     files have checksums of their own.
//
// Keys with empty, "." or ".." elements (a//b) cannot be named by a URI and make listings fail. Renames copy and delete, which is neither
// atomic nor cheap; filesys.Output does without, through filesys.PendingFS.
package s3fs

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/spark-go/spark-go/io/filesys"
)

func init() {
	filesys.Register("s3", open)
	filesys.Register("s3a", open)
}

// bucket is the file system of one bucket.
type bucket struct {
	name     string
	endpoint string // for errors; empty for that of AWS
	client   *s3.Client
	opts     options
	pace     pace
}

var (
	_ filesys.FS               = (*bucket)(nil)
	_ filesys.Walker           = (*bucket)(nil)
	_ filesys.ExclusiveCreator = (*bucket)(nil)
	_ filesys.PendingFS        = (*bucket)(nil)
)

func open(ctx context.Context, name string) (filesys.FS, error) {
	if name == "" {
		return nil, errors.New("the URI names no bucket: write s3://bucket/key")
	}
	o, err := readOptions(name)
	if err != nil {
		return nil, err
	}
	return newBucket(ctx, name, o)
}

// key is the object key of a path; prefix that of what lies below it.
func key(path string) string { return strings.TrimPrefix(path, "/") }

func prefix(path string) string {
	if k := key(path); k != "" {
		return k + "/"
	}
	return ""
}

// modTime joins the seconds that S3 knows and the entity tag.
func modTime(t *time.Time, etag *string) time.Time {
	if t == nil {
		return time.Time{}
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(strings.Trim(aws.ToString(etag), `"`)))
	return time.Unix(t.Unix(), int64(h.Sum64()%uint64(time.Second))).UTC()
}

// Stat implements filesys.FS.
func (b *bucket) Stat(ctx context.Context, path string) (filesys.Info, error) {
	if k := key(path); k != "" {
		head, err := b.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &b.name, Key: &k})
		if err == nil {
			return filesys.Info{Path: path, Size: aws.ToInt64(head.ContentLength), ModTime: modTime(head.LastModified, head.ETag)}, nil
		}
		// A HEAD has no body, hence no reason: the listing below tells a missing bucket from a missing object.
		if err = b.fail("stat", path, err); !errors.Is(err, fs.ErrNotExist) {
			return filesys.Info{}, err
		}
	}
	page, err := b.client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &b.name, Prefix: aws.String(prefix(path)), MaxKeys: aws.Int32(1)})
	if err != nil {
		return filesys.Info{}, b.fail("stat", path, err)
	}
	if len(page.Contents) == 0 && path != "/" {
		return filesys.Info{}, b.fail("stat", path, fs.ErrNotExist)
	}
	return filesys.Info{Path: path, IsDir: true}, nil
}

// MkdirAll implements filesys.FS: there is nothing to do.
func (b *bucket) MkdirAll(ctx context.Context, _ string) error { return ctx.Err() }

// Remove implements filesys.FS.
func (b *bucket) Remove(ctx context.Context, path string) error {
	info, err := b.Stat(ctx, path)
	if err != nil {
		return err
	}
	k := key(path)
	if info.IsDir {
		// Only its marker can be removed; an empty directory has nothing else.
		page, err := b.client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &b.name, Prefix: aws.String(prefix(path)), MaxKeys: aws.Int32(2)})
		if err != nil {
			return b.fail("remove", path, err)
		}
		if k += "/"; len(page.Contents) > 1 || len(page.Contents) == 1 && aws.ToString(page.Contents[0].Key) != k {
			return b.fail("remove", path, errors.New("the directory is not empty"))
		}
	}
	_, err = b.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &b.name, Key: &k})
	return b.fail("remove", path, err)
}

// RemoveAll implements filesys.FS, in requests of a thousand objects.
func (b *bucket) RemoveAll(ctx context.Context, path string) error {
	if path == "/" {
		return b.fail("remove", path, errors.New("a whole bucket is not removed: name a directory in it"))
	}
	k := key(path)
	if _, err := b.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &b.name, Key: &k}); err != nil {
		return b.fail("remove", path, err)
	}
	pages := s3.NewListObjectsV2Paginator(b.client, &s3.ListObjectsV2Input{Bucket: &b.name, Prefix: aws.String(prefix(path))})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return b.fail("remove", path, err)
		}
		if len(page.Contents) == 0 {
			continue
		}
		keys := make([]types.ObjectIdentifier, len(page.Contents))
		for i := range page.Contents {
			keys[i].Key = page.Contents[i].Key
		}
		out, err := b.client.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: &b.name, Delete: &types.Delete{Objects: keys, Quiet: aws.Bool(true)}})
		if err != nil {
			return b.fail("remove", path, err)
		}
		if len(out.Errors) > 0 {
			e := out.Errors[0]
			return b.fail("remove", "/"+aws.ToString(e.Key), fmt.Errorf("%s: %s (and %d more)", aws.ToString(e.Code), aws.ToString(e.Message), len(out.Errors)-1))
		}
	}
	return nil
}
