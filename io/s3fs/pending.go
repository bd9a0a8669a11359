package s3fs

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/spark-go/spark-go/io/filesys"
)

// token stands for an uncompleted upload: what completing it takes.
type token struct {
	Upload string `json:"upload"`
	Tag    string `json:"tag"`
	Size   int64  `json:"size"`
	Parts  []part `json:"parts"`
}

func (t token) String() string {
	text, _ := json.Marshal(t) // strings and numbers only: cannot fail
	return string(text)
}

func parseToken(s string) (t token, err error) {
	if err := json.Unmarshal([]byte(s), &t); err != nil {
		return t, fmt.Errorf("read the token of an upload: %w", err)
	}
	if t.Upload == "" || len(t.Parts) == 0 {
		return t, fmt.Errorf("read the token of an upload: %.80q names no upload or no parts", s)
	}
	return t, nil
}

func newTag() string {
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// copySource is bucket and key as the header wants them: escaped, with slashes as they are.
func copySource(bucket, key string) string {
	parts := strings.Split(key, "/")
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return bucket + "/" + strings.ReplaceAll(strings.Join(parts, "/"), "+", "%2B")
}

type pendingWriter struct{ *writer }

func (w pendingWriter) Token() string { return w.token }

// CreatePending implements filesys.PendingFS by a multipart upload that is left uncompleted.
func (b *bucket) CreatePending(ctx context.Context, path string) (filesys.PendingWriter, error) {
	w, err := b.newWriter(ctx, path)
	if err != nil {
		return nil, err
	}
	w.pending = true
	return pendingWriter{w}, nil
}

// Publish implements filesys.PendingFS.
func (b *bucket) Publish(ctx context.Context, path, text string) error {
	t, err := parseToken(text)
	if err != nil {
		return b.fail("publish", path, err)
	}
	return b.complete(ctx, path, t)
}

// Pending implements filesys.PendingFS.
func (b *bucket) Pending(ctx context.Context, dir string) ([]filesys.Pending, error) {
	var found []filesys.Pending
	pages := s3.NewListMultipartUploadsPaginator(b.client, &s3.ListMultipartUploadsInput{Bucket: &b.name, Prefix: aws.String(prefix(dir))})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, b.fail("list the uploads below", dir, err)
		}
		for _, u := range page.Uploads {
			found = append(found, filesys.Pending{Path: "/" + aws.ToString(u.Key), ID: aws.ToString(u.UploadId), Started: aws.ToTime(u.Initiated)})
		}
	}
	return found, nil
}

// Discard implements filesys.PendingFS.
func (b *bucket) Discard(ctx context.Context, p filesys.Pending) error {
	return b.abort(ctx, p.Path, p.ID)
}
