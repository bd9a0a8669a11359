package s3fs

import (
	"context"
	"fmt"
	"io/fs"
	"iter"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/spark-go/spark-go/io/filesys"
)

// List implements filesys.FS: the children of a directory, which are held in memory.
func (b *bucket) List(ctx context.Context, dir string) ([]filesys.Info, error) {
	var infos []filesys.Info
	under := prefix(dir)
	exists := dir == "/"
	pages := s3.NewListObjectsV2Paginator(b.client, &s3.ListObjectsV2Input{Bucket: &b.name, Prefix: &under, Delimiter: aws.String("/")})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, b.fail("list", dir, err)
		}
		exists = exists || len(page.Contents)+len(page.CommonPrefixes) > 0
		for i := range page.Contents {
			o := &page.Contents[i]
			k := aws.ToString(o.Key)
			if k == under {
				continue // the directory's own marker
			}
			info := filesys.Info{Path: "/" + k, Size: aws.ToInt64(o.Size), ModTime: modTime(o.LastModified, o.ETag)}
			if err := b.nameable(info.Path); err != nil {
				return nil, err
			}
			infos = append(infos, info)
		}
		for _, p := range page.CommonPrefixes {
			info := filesys.Info{Path: "/" + strings.TrimSuffix(aws.ToString(p.Prefix), "/"), IsDir: true}
			if err := b.nameable(info.Path); err != nil {
				return nil, err
			}
			infos = append(infos, info)
		}
	}
	if !exists {
		return nil, b.fail("list", dir, fs.ErrNotExist)
	}
	// S3 sorts a prefix with its slash: a-b, a/.
	slices.SortStableFunc(infos, func(x, y filesys.Info) int { return strings.Compare(x.Path, y.Path) })
	return infos, nil
}

// nameable refuses keys that no URI leads to, since a listing that left them out would lose rows without a word.
func (b *bucket) nameable(path string) error {
	for e := range strings.SplitSeq(path[1:], "/") {
		if e == "" || e == "." || e == ".." {
			return b.fail("list", path, fmt.Errorf("the key %q has an empty, . or .. element and cannot be named: rename the object", path[1:]))
		}
	}
	return nil
}

// Walk implements filesys.Walker: one request for each thousand objects, in the order of their keys.
func (b *bucket) Walk(ctx context.Context, dir string) iter.Seq2[filesys.Info, error] {
	return func(yield func(filesys.Info, error) bool) {
		pages := s3.NewListObjectsV2Paginator(b.client, &s3.ListObjectsV2Input{Bucket: &b.name, Prefix: aws.String(prefix(dir))})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield(filesys.Info{}, b.fail("list", dir, err))
				return
			}
			for i := range page.Contents {
				o := &page.Contents[i]
				k := aws.ToString(o.Key)
				if strings.HasSuffix(k, "/") {
					continue // a marker
				}
				info := filesys.Info{Path: "/" + k, Size: aws.ToInt64(o.Size), ModTime: modTime(o.LastModified, o.ETag)}
				if err := b.nameable(info.Path); err != nil {
					yield(filesys.Info{}, err)
					return
				}
				if !yield(info, nil) {
					return
				}
			}
		}
	}
}
