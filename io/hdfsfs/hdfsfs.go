// Package hdfsfs reads and writes files of the Hadoop distributed file system. Importing it registers the scheme hdfs://.
//
// The authority of a URI is a NameNode (hdfs://host:port/path, port 8020 if it is missing), a nameservice of the Hadoop configuration,
// which has several NameNodes, or nothing (hdfs:///path), which means its fs.defaultFS. The configuration is what HADOOP_CONF_DIR or
// HADOOP_HOME names, overridden by spark.hadoop.* settings; see [Options] for users and Kerberos.
//
// The protocol is spoken by github.com/colinmarc/hdfs/v2. That client knows no contexts, trusts a server to answer and gives up early;
// this package puts around it what a batch job needs:
//   - A client serves one operation at a time, a *session*. Its connections are known, so a cancelled context closes them and the operation
//     ends. Up to 32 sessions of a file system read and ask in parallel; idle ones end after some seconds.
//   - Every read and write of a connection has a time limit of its own. A DataNode that hangs costs one limit (3 s for a
//     first try) and the next replica is asked.
//   - What a DataNode sends is checked against its checksums before a byte of it is used. (The client would compare
//     them too, but hands out the damaged bytes of a large read, without an error, before it looks for another replica.)
//   - A NameNode that restarts or hands over to another is waited for, up to a minute if it was reached before. A wrong address is reported
//     after seconds.
//   - A file being written lies on the local disk until it is whole on the cluster, because the client cannot mend a
//     broken pipeline: if a DataNode dies the file is sent again, under a fresh temporary name, until it is through or 15 minutes
//     have passed, which is longer than a NameNode needs (ten and a half by default) to declare a DataNode dead and to stop naming it.
//
// Invariants are those of [filesys.FS]: a file appears by one rename, which the NameNode does atomically. Open files stay what they were when
// opened: if the name means another file by the time more of it is read, the read fails with [filesys.ErrChanged]. The
// context given to Open and Create holds for the whole life of the file.
package hdfsfs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/colinmarc/hdfs/v2"

	"github.com/spark-go/spark-go/io/filesys"
)

func init() {
	filesys.Register("hdfs", func(_ context.Context, authority string) (filesys.FS, error) {
		return New(authority, Options{})
	})
}

// FS is a file system of one cluster. It implements [filesys.FS] and [filesys.Locator].
type FS struct {
	uri     string // hdfs://authority, for errors
	cluster cluster
	krb     *kerberos // nil without Kerberos

	reached   atomic.Bool            // a NameNode has answered
	preferred atomic.Pointer[string] // the NameNode that answered last

	pool pool
	web  webClient
	odd  sync.Once // tells once that block locations cannot be had

	dialled func(address string) // told of connections to DataNodes; set by tests before the first of them
}

// New makes the file system of an authority: host:port, a nameservice, or "" for the default of the configuration. Nothing is connected
// before the first operation.
func New(authority string, o Options) (*FS, error) {
	c, err := configure(authority, o)
	if err != nil {
		return nil, err
	}
	f := &FS{uri: "hdfs://" + authority, cluster: c}
	if c.kerberos {
		f.krb = &kerberos{keytab: c.keytab, principal: c.principal, cache: c.ticketCache, config: c.krb5Conf}
	}
	f.pool.init(f)
	f.web.init(f)
	return f, nil
}

// Close ends the connections that no operation uses. The file system stays usable.
func (f *FS) Close() error {
	f.pool.expire(0)
	f.web.close()
	return nil
}

// fail makes the error of an operation.
func (f *FS) fail(op, p string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("%s %s%s: %w", op, f.uri, p, err)
	}
	return &fs.PathError{Op: op, Path: f.uri + p, Err: f.explain(err)}
}

func info(dir string, i os.FileInfo) filesys.Info {
	out := filesys.Info{Path: path.Join(dir, i.Name()), ModTime: i.ModTime(), IsDir: i.IsDir()}
	if !out.IsDir {
		out.Size = i.Size()
	}
	return out
}

var (
	errIsDir  = errors.New("it is a directory, not a file")
	errNotDir = errors.New("it is a file, not a directory")
)

// Stat describes a file or directory.
func (f *FS) Stat(ctx context.Context, p string) (filesys.Info, error) {
	var found os.FileInfo
	err := f.do(ctx, func(c *hdfs.Client, _ bool) (err error) {
		found, err = c.Stat(p)
		return err
	})
	if err != nil {
		return filesys.Info{}, f.fail("stat", p, err)
	}
	out := info("/", found)
	out.Path = path.Clean(p)
	return out, nil
}

// List describes the direct children of a directory. The NameNode sends them in pages of a thousand.
func (f *FS) List(ctx context.Context, dir string) ([]filesys.Info, error) {
	var found []os.FileInfo
	err := f.do(ctx, func(c *hdfs.Client, _ bool) error {
		r, err := c.Open(dir)
		if err != nil {
			return err
		}
		defer func() { _ = r.Close() }() // a directory's holds nothing
		if !r.Stat().IsDir() {
			return errNotDir
		}
		found, err = r.Readdir(0)
		return err
	})
	if err != nil {
		return nil, f.fail("list", dir, err)
	}
	infos := make([]filesys.Info, len(found))
	for i := range found {
		infos[i] = info(dir, found[i])
	}
	slices.SortFunc(infos, func(a, b filesys.Info) int { return strings.Compare(a.Path, b.Path) })
	return infos, nil
}

// MkdirAll makes a directory and its missing parents, with the mode 0755.
func (f *FS) MkdirAll(ctx context.Context, p string) error {
	return f.fail("mkdir", p, f.do(ctx, func(c *hdfs.Client, _ bool) error { return c.MkdirAll(p, 0o755) }))
}

// Remove deletes a file or an empty directory.
func (f *FS) Remove(ctx context.Context, p string) error {
	return f.fail("remove", p, f.do(ctx, func(c *hdfs.Client, again bool) error {
		err := c.Remove(p)
		if again && errors.Is(err, fs.ErrNotExist) {
			return nil // the try before, whose answer was lost, did it
		}
		return err
	}))
}

// RemoveAll deletes path and what is below it.
func (f *FS) RemoveAll(ctx context.Context, p string) error {
	return f.fail("remove", p, f.do(ctx, func(c *hdfs.Client, _ bool) error { return c.RemoveAll(p) }))
}

// Rename moves a file or directory. The NameNode does it atomically, whatever has the new name.
func (f *FS) Rename(ctx context.Context, from, to string) error {
	from, to = path.Clean(from), path.Clean(to)
	var moved uint64 // identity of what is moved
	err := f.do(ctx, func(c *hdfs.Client, again bool) error {
		source, err := c.Stat(from)
		if again && moved != 0 && errors.Is(err, fs.ErrNotExist) {
			if target, e := c.Stat(to); e == nil && fileID(target) == moved {
				return nil // the try before, whose answer was lost, did it
			}
		}
		if err != nil || from == to {
			return err
		}
		moved = fileID(source)
		if err = c.Rename(from, to); errors.Is(err, fs.ErrNotExist) {
			if err = c.MkdirAll(path.Dir(to), 0o755); err == nil {
				err = c.Rename(from, to)
			}
		}
		return err
	})
	return f.fail("rename", from, err)
}

// fileID is the NameNode's number of a file or directory, which renames keep and replacements do not.
func fileID(i os.FileInfo) uint64 {
	if s, ok := i.Sys().(*hdfs.FileStatus); ok {
		return s.GetFileId()
	}
	return 0
}
