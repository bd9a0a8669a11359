// Package filesys reads and writes files wherever they live: one small
// interface, [FS], and a registry that finds the file system of a URI by its
// scheme.
//
// A URI is either a plain path of the local disk or scheme://authority/path.
// It is taken literally: nothing is percent-decoded, so a space is a space.
// Two file systems are always there: the local disk (plain paths, file://)
// and mem://, which lives in the memory of this process and serves tests.
// Others register themselves when their package is imported.
//
// Invariants that every backend keeps:
//   - A file appears under its name whole or not at all: what [FS.Create]
//     writes is visible only after Close returned nil, and Abort leaves nothing.
//   - Listings are sorted by name, bytewise, so that what is derived from them
//     (partitions, results) is the same on every run.
//   - A missing file is an error for which errors.Is(err, fs.ErrNotExist) holds.
//   - Directories need not be made before a file is created in them.
//
// The package also holds what all readers and writers share: [Expand] turns
// comma lists, globs and directories into files, [SplitOptions] divides files among
// tasks by their size alone, and [Output] publishes the files of a job.
package filesys

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"time"
)

// FS is one file system. Its methods are safe for concurrent use. Paths are
// absolute, slash-separated and without scheme and authority, as [Get] returns them.
type FS interface {
	// Open opens a file for reading. Opening a directory is an error.
	Open(ctx context.Context, path string) (File, error)
	// Create starts a new file, replacing an older one of that name when the
	// Writer is closed. Missing parent directories are made.
	Create(ctx context.Context, path string) (Writer, error)
	// Stat describes a file or directory.
	Stat(ctx context.Context, path string) (Info, error)
	// List describes the direct children of a directory, sorted by name,
	// hidden ones included.
	List(ctx context.Context, dir string) ([]Info, error)
	// Rename moves a file or directory. Missing parents of the new name are
	// made; a file that has the new name is replaced.
	Rename(ctx context.Context, from, to string) error
	// Remove deletes a file or an empty directory.
	Remove(ctx context.Context, path string) error
	// RemoveAll deletes path and what is below it; a missing path is no error.
	RemoveAll(ctx context.Context, path string) error
	// MkdirAll makes a directory and its missing parents.
	MkdirAll(ctx context.Context, path string) error
}

// File is a file open for reading. ReadAt may be called concurrently.
type File interface {
	io.ReaderAt
	io.Closer
	// Size is the length in bytes at the time of opening.
	Size() int64
	// ModTime is the time of the last modification before opening.
	ModTime() time.Time
}

// Writer is a file being written. Exactly one of Close and Abort ends it;
// calls after the first of them do nothing and return nil.
type Writer interface {
	io.Writer
	// Close makes the file visible under its name. After an error nothing is visible.
	Close() error
	// Abort discards what was written.
	Abort() error
}

// Info describes a file or directory.
type Info struct {
	Path    string    // within its file system
	URI     string    // set by Expand and Stat: what Open, Stat and the like take, also in another process
	Size    int64     // bytes; 0 for a directory
	ModTime time.Time // zero where the file system does not know
	IsDir   bool
}

// Name is the last element of the path.
func (i Info) Name() string { return i.Path[strings.LastIndexByte(i.Path, '/')+1:] }

// Opener makes the file system of one authority (the part between :// and the
// next slash: a host, a bucket, or empty). It is called once for each authority
// unless it fails.
type Opener func(ctx context.Context, authority string) (FS, error)

var registry = struct {
	sync.Mutex
	openers map[string]Opener
	open    map[string]FS // by scheme://authority
}{openers: map[string]Opener{}, open: map[string]FS{}}

// Register makes opener responsible for the URIs of a scheme, replacing any
// earlier one. Packages of file systems call it from their init function.
func Register(scheme string, opener Opener) {
	scheme = strings.ToLower(scheme)
	registry.Lock()
	defer registry.Unlock()
	registry.openers[scheme] = opener
	for key := range registry.open {
		if strings.HasPrefix(key, scheme+"://") {
			delete(registry.open, key)
		}
	}
}

// ErrUnknownScheme is what the error of a URI wraps whose scheme nobody registered.
var ErrUnknownScheme = errors.New("no file system is registered for the scheme")

// Get returns the file system of a URI and the URI's path within it. Relative
// local paths are made absolute, because a task may run in another directory.
func Get(ctx context.Context, uri string) (FS, string, error) {
	loc, err := parse(uri)
	if err != nil {
		return nil, "", err
	}
	fsys, err := loc.open(ctx)
	return fsys, loc.path, err
}

// location is a URI taken apart.
type location struct {
	scheme, authority string
	prefix            string // what goes before a path of this file system to make a URI
	path              string
}

func (l location) uri(path string) string { return l.prefix + path }

func parse(uri string) (location, error) {
	scheme, rest, ok := cutScheme(uri)
	if !ok {
		path, err := absolute(uri)
		return location{scheme: "file", path: path}, err
	}
	scheme = strings.ToLower(scheme)
	if scheme == "file" && !strings.HasPrefix(rest, "//") { // Hadoop's short form, file:/path
		path, err := absolute(rest)
		return location{scheme: "file", prefix: "file://", path: path}, err
	}
	authority, path, found := strings.Cut(rest[2:], "/")
	if user, host, ok := cutLast(authority, "@"); ok && strings.Contains(user, ":") {
		return location{}, fmt.Errorf("open %s://...@%s: the URI holds a password, which logs and errors would show: give credentials as settings or in the environment", scheme, host)
	}
	if !found {
		path = ""
	}
	return location{scheme: scheme, authority: authority, prefix: scheme + "://" + authority, path: clean("/" + path)}, nil
}

// cutLast is strings.Cut at the last sep.
func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// cutScheme splits "hdfs://nn/x" into "hdfs" and "//nn/x". A colon alone makes
// no scheme (file names may have one), except in Hadoop's file:/path.
func cutScheme(uri string) (scheme, rest string, ok bool) {
	scheme, rest, ok = strings.Cut(uri, ":")
	if !ok || scheme == "" {
		return "", "", false
	}
	for i, c := range []byte(scheme) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || !(c >= '0' && c <= '9' || c == '+' || c == '-' || c == '.')) {
			return "", "", false
		}
	}
	if strings.HasPrefix(rest, "//") || strings.EqualFold(scheme, "file") && strings.HasPrefix(rest, "/") {
		return scheme, rest, true
	}
	return "", "", false
}

func (l location) open(ctx context.Context) (FS, error) {
	key := l.scheme + "://" + l.authority
	registry.Lock()
	opener, known := registry.openers[l.scheme]
	fsys := registry.open[key]
	schemes := make([]string, 0, len(registry.openers))
	for s := range registry.openers {
		schemes = append(schemes, s)
	}
	registry.Unlock()
	if fsys != nil {
		return fsys, nil
	}
	if !known {
		slices.Sort(schemes)
		return nil, fmt.Errorf("open %s: %w %q: import the package that registers it in the program (known here: %s), or write a plain path for a local file",
			l.uri(l.path), ErrUnknownScheme, l.scheme, strings.Join(schemes, ", "))
	}
	fsys, err := opener(ctx, l.authority)
	if err != nil {
		return nil, fmt.Errorf("open file system %s: %w", key, err)
	}
	registry.Lock()
	defer registry.Unlock()
	if first := registry.open[key]; first != nil { // another goroutine was faster
		return first, nil
	}
	registry.open[key] = fsys
	return fsys, nil
}

// IsLocal tells whether reading what a URI names waits for nothing but this machine: its disk or, with mem://, its memory. Of files elsewhere it
// pays to fetch early what is needed next.
func IsLocal(uri string) bool {
	loc, err := parse(uri)
	return err == nil && (loc.scheme == "file" || loc.scheme == "mem")
}

// Open opens the file that a URI names.
func Open(ctx context.Context, uri string) (File, error) {
	fsys, path, err := Get(ctx, uri)
	if err != nil {
		return nil, err
	}
	return fsys.Open(ctx, path)
}

// Create starts the file that a URI names.
func Create(ctx context.Context, uri string) (Writer, error) {
	fsys, path, err := Get(ctx, uri)
	if err != nil {
		return nil, err
	}
	return fsys.Create(ctx, path)
}

// Stat describes the file or directory that a URI names.
func Stat(ctx context.Context, uri string) (Info, error) {
	loc, err := parse(uri)
	if err != nil {
		return Info{}, err
	}
	fsys, err := loc.open(ctx)
	if err != nil {
		return Info{}, err
	}
	info, err := fsys.Stat(ctx, loc.path)
	info.URI = loc.uri(loc.path)
	return info, err
}

// ReadFile returns the whole content of a file.
func ReadFile(ctx context.Context, uri string) ([]byte, error) {
	f, err := Open(ctx, uri)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b := make([]byte, f.Size())
	if n, err := f.ReadAt(b, 0); n < len(b) {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("read %s: %w", uri, err)
	}
	return b, nil
}

// WriteFile makes a file of the given content.
func WriteFile(ctx context.Context, uri string, content []byte) error {
	w, err := Create(ctx, uri)
	if err != nil {
		return err
	}
	if _, err := w.Write(content); err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", uri, err), w.Abort())
	}
	return w.Close()
}

// OpenUnchanged opens a file and compares it with what a listing said of it. A task reads
// splits that the driver cut from a listing, and offsets into a file that
// was replaced since would yield rubbish without an error.
func OpenUnchanged(ctx context.Context, uri string, size int64, modTime time.Time) (File, error) {
	f, err := Open(ctx, uri)
	if err != nil {
		return nil, err
	}
	changed := f.Size() != size
	if t := f.ModTime(); !t.IsZero() && !modTime.IsZero() && !t.Equal(modTime) {
		changed = true
	}
	if changed {
		f.Close()
		return nil, fmt.Errorf("read %s: %w: it had %d bytes of %s, now %d of %s: run the job again on files that stay as they are",
			uri, ErrChanged, size, modTime.UTC().Format(time.RFC3339Nano), f.Size(), f.ModTime().UTC().Format(time.RFC3339Nano))
	}
	return f, nil
}

// ErrChanged is what the error of OpenUnchanged wraps when the file is not the one that was listed.
// It is permanent, as rdd.PermanentError says: trying again does not bring the file back.
var ErrChanged error = changedError{}

type changedError struct{}

func (changedError) Error() string   { return "the file changed since it was listed" }
func (changedError) Permanent() bool { return true }

// Exists tells whether a URI names something.
func Exists(ctx context.Context, uri string) (bool, error) {
	_, err := Stat(ctx, uri)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Join appends path elements to a URI.
func Join(uri string, elem ...string) string {
	uri = strings.TrimRight(uri, "/")
	for _, e := range elem {
		uri += "/" + strings.Trim(e, "/")
	}
	return uri
}
