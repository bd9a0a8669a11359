package filesys

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"path"
	"time"
)

// Walker is an FS that lists everything below a directory in one go, cheaper than directory by directory. Files come in an order of the file system's own, never
// all at once in memory; directories are not yielded. After an error nothing follows.
type Walker interface {
	Walk(ctx context.Context, dir string) iter.Seq2[Info, error]
}

// ExclusiveCreator is an FS that makes a file only if none has the name: of several writers at most one
// succeeds, the others get an error for which errors.Is(err, fs.ErrExist) holds.
type ExclusiveCreator interface {
	CreateExclusive(ctx context.Context, path string, content []byte) error
}

// PendingFS is an FS without cheap renames, an object store, whose files can be written under their final names and yet stay
// invisible until someone, in another process or much later, publishes them. Output uses it in the place of temporary files.
type PendingFS interface {
	// CreatePending starts a file that stays invisible when its Writer is closed. Closed, the writer
	// knows a token, which stands for what was written.
	CreatePending(ctx context.Context, path string) (PendingWriter, error)
	// Publish makes a pending file visible under its name. To publish twice is no error; to publish what was discarded is one for which
	// errors.Is(err, fs.ErrNotExist) holds.
	Publish(ctx context.Context, path, token string) error
	// Pending lists unpublished files below a directory, finished and unfinished ones, whoever made them.
	Pending(ctx context.Context, dir string) ([]Pending, error)
	// Discard forgets an unpublished file. What is not there any more is no error.
	Discard(ctx context.Context, p Pending) error
}

// PendingWriter writes a file that is to be published later.
type PendingWriter interface {
	Writer
	// Token is what Publish wants, after Close returned nil.
	Token() string
}

// Pending is a file that is not published.
type Pending struct {
	Path    string    // that it would have
	ID      string    // of the file system's own
	Started time.Time // zero where the file system does not know
}

// Walk lists all files below a directory, hidden ones included; a file stands for itself. Nothing more than a page or a directory is held in memory at a time. The order is
// the file system's.
func Walk(ctx context.Context, uri string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		loc, err := parse(uri)
		if err != nil {
			yield(Info{}, err)
			return
		}
		fsys, err := loc.open(ctx)
		if err != nil {
			yield(Info{}, err)
			return
		}
		for info, err := range walkFS(ctx, fsys, loc.path) {
			info.URI = loc.uri(info.Path)
			if !yield(info, err) || err != nil {
				return
			}
		}
	}
}

// walkFS lists all files below a path of a file system.
func walkFS(ctx context.Context, fsys FS, p string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		root, err := fsys.Stat(ctx, p)
		if err != nil || !root.IsDir {
			yield(root, err)
			return
		}
		if w, ok := fsys.(Walker); ok {
			for info, err := range w.Walk(ctx, p) {
				if !yield(info, err) || err != nil {
					return
				}
			}
			return
		}
		walkDir(ctx, fsys, p, yield)
	}
}

func walkDir(ctx context.Context, fsys FS, dir string, yield func(Info, error) bool) bool {
	children, err := fsys.List(ctx, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return true // removed between two listings
	}
	if err != nil {
		yield(Info{Path: dir}, err)
		return false
	}
	for _, c := range children {
		switch {
		case c.IsDir:
			if !walkDir(ctx, fsys, path.Join(dir, c.Name()), yield) {
				return false
			}
		case !yield(c, nil):
			return false
		}
	}
	return true
}
