package filesys

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"log/slog"
	"path"
	"slices"
	"strconv"
	"strings"
)

// SaveMode says what to do when the output directory exists and is not empty.
type SaveMode string

// The save modes, Spark's.
const (
	ErrorIfExists SaveMode = "error"     // refuse, the default
	Overwrite     SaveMode = "overwrite" // replace everything in the directory, once the new files are complete
	Append        SaveMode = "append"    // add files, numbered on from the highest
	Ignore        SaveMode = "ignore"    // write nothing
)

// What errors of outputs wrap.
var (
	// ErrOutputExists: the directory has content, under ErrorIfExists.
	ErrOutputExists = errors.New("the output directory exists and is not empty")
	// ErrBusy: another job that is alive writes to the directory.
	ErrBusy = errors.New("another job is writing to the directory")
	// ErrUnfinished: the directory holds a part of an output, because a commit was interrupted or is under way.
	ErrUnfinished = errors.New("the commit of its files is unfinished")
	// ErrTakenOver: while the job ran, another one took it for dead and removed its files.
	ErrTakenOver = errors.New("another job took this one for dead and removed its files")
)

// SuccessFile marks a directory whose files are all there. It holds a Manifest.
const SuccessFile = "_SUCCESS"

const temporaryDir = "_temporary"

// Output is a directory that a job writes part files into, and how they come to be there, whole or not at all. Output is plain data: the
// driver makes it with NewOutput, tasks receive a copy for CreateTask, and the driver ends it with exactly one of Commit
// and Abort.
//
// While the job runs, its files are in no reader's way: on a PendingFS (S3) they are uploads under their final names that nobody has
// completed, elsewhere temporary files under _temporary/ID. Commit then
//
//  1. writes a journal of what will be published, under which name, and which old files will go;
//  2. removes _SUCCESS;
//  3. publishes each file, by completing its upload or by a rename;
//  4. removes the old files, under Overwrite;
//  5. writes _SUCCESS with the Manifest;
//  6. removes _temporary/ID and uploads of attempts that did not count.
//
// New files never have the names of old ones, so each step can be repeated, and until the first old file goes all can
// be taken back. Hence:
//   - Who waits for _SUCCESS sees the old files or the new ones, never a part. Expand refuses a directory with a journal (ErrUnfinished)
//     until the journal has been carried out.
//   - A job that dies before its journal is written leaves the directory as it was; one that dies later has its journal finished, or taken
//     back if a file was lost, by the next job that writes to the directory or by Clean. Either removes all leftovers.
//   - A job shows that it is alive by a marker under _temporary/ID, renewed every 15 seconds. Whose process is gone from this machine, or
//     who has been silent for two minutes, is dead; a directory where another job is alive is refused (ErrBusy).
//
// If two attempts of a task both finish, the one whose TaskFile is given to Commit counts.
type Output struct {
	URI        string
	ID         string // unique to the job: 16 hexadecimal digits
	Mode       SaveMode
	Skip       bool // under Ignore: the directory has content, so nothing is to be written
	First      int  // added to partition numbers in the names of files
	Generation int  // tells the names from those that Overwrite replaces
	Pending    bool // files are published by a PendingFS
}

// TaskFile is what one task attempt wrote.
type TaskFile struct {
	Partition int
	Dir       string // below the output directory, such as "year=2026"; usually empty
	Extension string // such as ".gz"
	Temporary string // its URI before Commit; empty on a PendingFS
	Token     string // what a PendingFS publishes
	Rows      int64
	Bytes     int64
	Checksum  string // of the bytes, such as "crc32c:0a1b2c3d"
}

// NewOutput finishes or removes what dead jobs left in the directory, checks it against the mode and
// announces the job there.
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
	o := Output{URI: loc.uri(loc.path), ID: newID(), Mode: mode}
	d := outputDir{fsys: fsys, path: loc.path, uri: o.URI}
	if err := o.prepare(ctx, d); err != nil {
		return Output{}, fmt.Errorf("write %s: %w", uri, err)
	}
	return o, nil
}

func (o *Output) prepare(ctx context.Context, d outputDir) error {
	_, o.Pending = d.fsys.(PendingFS)
	info, err := d.fsys.Stat(ctx, d.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case !info.IsDir:
		return fmt.Errorf("%w: it is a file: name another directory, or remove it", fs.ErrExist)
	}
	// Also where the directory does not exist yet: uploads need none.
	if err := d.recover(ctx); err != nil {
		return err
	}
	content, err := o.survey(ctx, d)
	if err != nil {
		return err
	}
	if content && o.Mode == ErrorIfExists {
		return fmt.Errorf("%w: remove it, name another, or choose the save mode overwrite or append", ErrOutputExists)
	}
	if o.Skip = content && o.Mode == Ignore; o.Skip {
		return nil
	}
	return d.announce(ctx, o.ID)
}

// survey looks whether the directory has content and chooses the names of new files.
func (o *Output) survey(ctx context.Context, d outputDir) (content bool, err error) {
	generations := map[int]bool{}
	for f, err := range walkFS(ctx, d.fsys, d.path) {
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		rel := d.relative(f.Path)
		if below(rel, temporaryDir) {
			continue // what others left, and no content
		}
		content = true
		switch o.Mode {
		case ErrorIfExists, Ignore:
			return true, nil
		case Append:
			if n, _, ok := partNumber(f.Name()); ok {
				o.First = max(o.First, n+1)
			}
		case Overwrite:
			if _, g, ok := partNumber(f.Name()); ok {
				generations[g] = true
			}
		}
	}
	for o.Mode == Overwrite && generations[o.Generation] {
		o.Generation++
	}
	return content, nil
}

func newID() string {
	id := make([]byte, 8)
	_, _ = rand.Read(id) // never fails
	return hex.EncodeToString(id)
}

// name is where a file will be, below the directory.
func (o Output) name(f TaskFile) string {
	name := fmt.Sprintf("part-%05d", o.First+f.Partition)
	switch {
	case o.Pending:
		name += "-" + o.ID // uploads of a job that died are known by it
	case o.Generation > 0:
		name += "-" + strconv.Itoa(o.Generation)
	}
	return path.Join(f.Dir, name+f.Extension)
}

// partNumber takes part-00012.gz and part-00012-3.gz apart.
func partNumber(name string) (n, generation int, ok bool) {
	rest, ok := strings.CutPrefix(name, "part-")
	if !ok {
		return 0, 0, false
	}
	n, rest, ok = digits(rest)
	if !ok {
		return 0, 0, false
	}
	if rest, more := strings.CutPrefix(rest, "-"); more {
		if g, rest, ok := digits(rest); ok && (rest == "" || rest[0] == '.') {
			generation = g
		}
	}
	return n, generation, true
}

func digits(s string) (n int, rest string, ok bool) {
	end := 0
	for end < len(s) && s[end] >= '0' && s[end] <= '9' {
		end++
	}
	n, err := strconv.Atoi(s[:end])
	return n, s[end:], err == nil
}

// TaskWriter writes the file of one attempt at a partition.
type TaskWriter struct {
	uri     string
	out     Writer
	pending PendingWriter // out again, or nil
	file    TaskFile
	crc     uint32
}

// CreateTask starts the file of one attempt at a partition. Attempts at the same partition do not meet.
func (o Output) CreateTask(ctx context.Context, partition int, extension string) (*TaskWriter, error) {
	return o.CreateTaskIn(ctx, partition, "", extension)
}

// CreateTaskIn is CreateTask for a directory below the output directory, such as year=2026/month=1. A partition may write one file for
// each such directory and extension.
func (o Output) CreateTaskIn(ctx context.Context, partition int, dir, extension string) (*TaskWriter, error) {
	w := &TaskWriter{file: TaskFile{Partition: partition, Dir: dir, Extension: extension}}
	if dir != "" && (!fs.ValidPath(dir) || below(dir, temporaryDir)) {
		return nil, fmt.Errorf("write partition %d of %s: %q is no directory below the output: use a relative path without dots", partition, o.URI, dir)
	}
	fsys, root, err := Get(ctx, o.URI)
	if err != nil {
		return nil, err
	}
	if o.Pending {
		p, ok := fsys.(PendingFS)
		if !ok {
			return nil, fmt.Errorf("write partition %d of %s: the file system of this process cannot hold files back as the driver's does", partition, o.URI)
		}
		name := o.name(w.file)
		w.uri = Join(o.URI, name)
		if w.pending, err = p.CreatePending(ctx, path.Join(root, name)); err == nil {
			w.out = w.pending
		}
	} else {
		unique := make([]byte, 6)
		_, _ = rand.Read(unique) // never fails
		name := fmt.Sprintf("part-%05d-%s%s", partition, hex.EncodeToString(unique), extension)
		w.uri = Join(o.URI, temporaryDir, o.ID, name)
		w.file.Temporary = w.uri
		w.out, err = fsys.Create(ctx, path.Join(root, temporaryDir, o.ID, name))
	}
	if err != nil {
		return nil, fmt.Errorf("write partition %d of %s: %w", partition, o.URI, err)
	}
	return w, nil
}

// URI is where the file is being written, for errors.
func (w *TaskWriter) URI() string { return w.uri }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (w *TaskWriter) Write(p []byte) (int, error) {
	n, err := w.out.Write(p)
	w.crc = crc32.Update(w.crc, castagnoli, p[:n])
	w.file.Bytes += int64(n)
	return n, err
}

// Close finishes the file, which stays invisible.
func (w *TaskWriter) Close() error { return w.out.Close() }

// Abort discards the file.
func (w *TaskWriter) Abort() error { return w.out.Abort() }

// File is what Commit wants to know of the file, after Close returned nil.
func (w *TaskWriter) File(rows int64) TaskFile {
	f := w.file
	f.Rows = rows
	f.Checksum = fmt.Sprintf("crc32c:%08x", w.crc)
	if w.pending != nil {
		f.Token = w.pending.Token()
	}
	return f
}

// Publish commits the files that write makes, or, if it or the commit fails, aborts.
func (o Output) Publish(ctx context.Context, write func(context.Context) ([]TaskFile, error)) error {
	files, err := write(ctx)
	if err == nil {
		err = o.Commit(ctx, files)
	}
	if err != nil {
		// The temporary files go also when ctx was cancelled.
		return errors.Join(err, o.Abort(context.WithoutCancel(ctx)))
	}
	return nil
}

// Commit publishes the files and marks the directory complete. When it fails, either nothing of them is visible, or the error wraps
// ErrUnfinished: then the next job that writes to the directory, or Clean, finishes it.
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
	d, err := openDir(ctx, o.URI)
	if err != nil {
		return err
	}
	j, err := o.plan(ctx, d, files)
	if err != nil {
		return err
	}
	// The job must still be the one that the directory belongs to.
	switch _, err := d.fsys.Stat(ctx, d.temporary(o.ID, markerFile)); {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: was the program stopped for minutes? Run it again", ErrTakenOver)
	case err != nil:
		return err
	}
	if err := d.put(ctx, d.temporary(o.ID, journalFile), j.encode()); err != nil {
		return err
	}
	if err := d.carryOut(ctx, j, true); err != nil {
		return err
	}
	endLease(o.ID)
	if err := d.removeJob(context.WithoutCancel(ctx), o.ID); err != nil {
		// The output is complete; what is left does no harm and goes with the next job.
		slog.Warn("temporary files of a complete output could not be removed", "output", o.URI, "error", err)
	}
	return nil
}

// Abort removes what the job's tasks wrote, and the directory if that leaves it empty. After a commit that could not be
// finished it leaves everything to those who can.
func (o Output) Abort(ctx context.Context) error {
	if o.Skip {
		return nil
	}
	endLease(o.ID)
	if err := o.abort(ctx); err != nil {
		return fmt.Errorf("abort output %s: %w", o.URI, err)
	}
	return nil
}

func (o Output) abort(ctx context.Context) error {
	d, err := openDir(ctx, o.URI)
	if err != nil {
		return err
	}
	switch j, err := d.readJournal(ctx, o.ID); {
	case err != nil:
		return err
	case j != nil:
		return fmt.Errorf("%w: write to it again, or run spark-go clean %s", ErrUnfinished, o.URI)
	}
	if err := d.removeJob(ctx, o.ID); err != nil {
		return err
	}
	if left, err := d.fsys.List(ctx, d.path); err == nil && len(left) == 0 && d.path != "/" {
		return d.fsys.Remove(ctx, d.path)
	}
	return nil
}
