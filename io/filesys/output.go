package filesys

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// SaveMode says what to do when the output directory exists and is not empty.
type SaveMode string

// The save modes, Spark's.
const (
	ErrorIfExists SaveMode = "error" // refuse, the default
	Overwrite     SaveMode = "overwrite"
	Append        SaveMode = "append" // add files, numbered on from the highest
	Ignore        SaveMode = "ignore" // write nothing
)

// ErrOutputExists is what the error of NewOutput wraps under ErrorIfExists.
var ErrOutputExists = errors.New("the output directory exists and is not empty")

// SuccessFile is the empty file that marks a directory whose files are all there.
const SuccessFile = "_SUCCESS"

const temporaryDir = "_temporary"

// Output is a directory that a job writes one part file per partition into. Tasks
// write under _temporary/ID; nothing shows under a final name before the
// driver has heard from every task and calls Commit, and the marker _SUCCESS comes
// last. If two attempts of a task both finish, the one whose TaskFile is
// given to Commit counts, the other's file goes with the temporary directory.
//
// Old files are removed by Commit, not at the start, so that a job that fails leaves the old
// output as it was. Commit itself is a series of renames: a reader that
// must not see a part of them waits for _SUCCESS.
//
// Output is plain data: the driver makes it, tasks receive a copy.
type Output struct {
	URI  string
	ID   string // unique to the job
	Mode SaveMode
	Skip bool // under Ignore: the directory has content, so nothing is to be written
}

// TaskFile is what one task attempt wrote.
type TaskFile struct {
	Partition int
	Extension string // such as ".gz"
	Temporary string // its URI before Commit
	Rows      int64
	Bytes     int64
}

// NewOutput checks the directory against the mode and prepares the job's
// temporary place in it.
func NewOutput(ctx context.Context, uri string, mode SaveMode) (Output, error) {
	if mode == "" {
		mode = ErrorIfExists
	}
	if !slices.Contains([]SaveMode{ErrorIfExists, Overwrite, Append, Ignore}, mode) {
		return Output{}, fmt.Errorf("write %s: unknown save mode %q: use error, overwrite, append or ignore", uri, mode)
	}
	loc, err := parse(uri)
	if err != nil {
		return Output{}, err
	}
	fsys, err := loc.open(ctx)
	if err != nil {
		return Output{}, err
	}
	id := make([]byte, 8)
	_, _ = rand.Read(id) // never fails
	o := Output{URI: loc.uri(loc.path), ID: hex.EncodeToString(id), Mode: mode}
	info, err := fsys.Stat(ctx, loc.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return Output{}, fmt.Errorf("write %s: %w", uri, err)
	case !info.IsDir:
		return Output{}, fmt.Errorf("write %s: %w: it is a file: name another directory, or remove it", uri, fs.ErrExist)
	default:
		children, err := fsys.List(ctx, loc.path)
		if err != nil {
			return Output{}, fmt.Errorf("write %s: %w", uri, err)
		}
		// What a killed job left in _temporary is not content.
		content := slices.ContainsFunc(children, func(c Info) bool { return c.Name() != temporaryDir })
		if content && mode == ErrorIfExists {
			return Output{}, fmt.Errorf("write %s: %w: remove it, name another, or choose the save mode overwrite or append", uri, ErrOutputExists)
		}
		o.Skip = content && mode == Ignore
	}
	if o.Skip {
		return o, nil
	}
	if err := fsys.MkdirAll(ctx, path.Join(loc.path, temporaryDir, o.ID)); err != nil {
		return Output{}, fmt.Errorf("write %s: %w", uri, err)
	}
	return o, nil
}

// CreateTask starts the file of one attempt at a partition. Each call makes a file
// of another name, so that attempts at the same partition do not meet. The
// caller fills in Rows and Bytes of the TaskFile once the Writer is closed.
func (o Output) CreateTask(ctx context.Context, partition int, extension string) (Writer, TaskFile, error) {
	unique := make([]byte, 6)
	_, _ = rand.Read(unique) // never fails
	t := TaskFile{Partition: partition, Extension: extension}
	t.Temporary = Join(o.URI, temporaryDir, o.ID, partName(partition, "-"+hex.EncodeToString(unique)+extension))
	w, err := Create(ctx, t.Temporary)
	if err != nil {
		return nil, t, fmt.Errorf("write partition %d of %s: %w", partition, o.URI, err)
	}
	return w, t, nil
}

func partName(n int, rest string) string { return fmt.Sprintf("part-%05d%s", n, rest) }

// Commit publishes one file for each partition, in partition order, and marks the directory complete.
func (o Output) Commit(ctx context.Context, files []TaskFile) error {
	if o.Skip {
		return nil
	}
	if err := o.commit(ctx, files); err != nil {
		return fmt.Errorf("commit output %s: %w", o.URI, err)
	}
	return nil
}

func (o Output) commit(ctx context.Context, files []TaskFile) error {
	fsys, dir, err := Get(ctx, o.URI)
	if err != nil {
		return err
	}
	files = slices.Clone(files)
	slices.SortStableFunc(files, func(a, b TaskFile) int { return a.Partition - b.Partition })
	for i := 1; i < len(files); i++ {
		if files[i].Partition == files[i-1].Partition {
			return fmt.Errorf("partition %d has two files, %s and %s", files[i].Partition, files[i-1].Temporary, files[i].Temporary)
		}
	}
	old, err := fsys.List(ctx, dir)
	if err != nil {
		return err
	}
	first := 0
	// The marker goes first: what follows is incomplete until it is back.
	if err := fsys.RemoveAll(ctx, path.Join(dir, SuccessFile)); err != nil {
		return err
	}
	for _, f := range old {
		switch {
		case f.Name() == temporaryDir || f.Name() == SuccessFile:
		case o.Mode == Overwrite:
			if err := fsys.RemoveAll(ctx, f.Path); err != nil {
				return err
			}
		case o.Mode == Append:
			first = max(first, partNumber(f.Name())+1)
		default: // it was empty when the job began
			return fmt.Errorf("%w: %s appeared while the job ran", ErrOutputExists, f.Name())
		}
	}
	for _, f := range files {
		_, from, err := Get(ctx, f.Temporary)
		if err != nil {
			return err
		}
		if err := fsys.Rename(ctx, from, path.Join(dir, partName(first+f.Partition, f.Extension))); err != nil {
			return err
		}
	}
	if err := o.removeTemporary(ctx, fsys, dir); err != nil {
		return err
	}
	return WriteFile(ctx, Join(o.URI, SuccessFile), nil)
}

// partNumber is n for part-n… and -1 for other names.
func partNumber(name string) int {
	rest, ok := strings.CutPrefix(name, "part-")
	if !ok {
		return -1
	}
	end := 0
	for end < len(rest) && rest[end] >= '0' && rest[end] <= '9' {
		end++
	}
	n, err := strconv.Atoi(rest[:end])
	if err != nil {
		return -1
	}
	return n
}

// Abort removes what the job's tasks wrote, and the directory if that leaves it empty.
func (o Output) Abort(ctx context.Context) error {
	if o.Skip {
		return nil
	}
	fsys, dir, err := Get(ctx, o.URI)
	if err != nil {
		return err
	}
	if err := o.removeTemporary(ctx, fsys, dir); err != nil {
		return fmt.Errorf("abort output %s: %w", o.URI, err)
	}
	if left, err := fsys.List(ctx, dir); err == nil && len(left) == 0 {
		return fsys.Remove(ctx, dir)
	}
	return nil
}

// removeTemporary removes the job's temporary place, and the parent if no other job uses it.
func (o Output) removeTemporary(ctx context.Context, fsys FS, dir string) error {
	tmp := path.Join(dir, temporaryDir)
	if err := fsys.RemoveAll(ctx, path.Join(tmp, o.ID)); err != nil {
		return err
	}
	if left, err := fsys.List(ctx, tmp); err == nil && len(left) == 0 {
		return fsys.Remove(ctx, tmp)
	}
	return nil
}
