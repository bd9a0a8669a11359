package filesys

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
)

const (
	markerFile    = "job.json"
	journalFile   = "commit.json"
	journalFormat = "spark-go commit"
	scratchPrefix = "scratch-" // files in _temporary that live for a moment
)

// publishers is how many files are published or removed at the same time.
var publishers = 16

// outputDir is a directory that jobs write to.
type outputDir struct {
	fsys FS
	path string
	uri  string
}

func openDir(ctx context.Context, uri string) (outputDir, error) {
	fsys, p, err := Get(ctx, uri)
	return outputDir{fsys, p, uri}, err
}

func (d outputDir) at(name string) string { return path.Join(d.path, name) }

func (d outputDir) temporary(elem ...string) string {
	return path.Join(append([]string{d.path, temporaryDir}, elem...)...)
}

// relative is a path below the directory.
func (d outputDir) relative(p string) string {
	return strings.TrimPrefix(strings.TrimPrefix(p, d.path), "/")
}

// below says whether a relative path is dir or lies in it.
func below(rel, dir string) bool { return rel == dir || strings.HasPrefix(rel, dir+"/") }

// journal says what a commit does. It is written before the first file is published.
type journal struct {
	Format   string        `json:"format"`
	Version  int           `json:"version"`
	ID       string        `json:"job"`
	Publish  []publication `json:"publish"`
	Remove   []string      `json:"remove,omitempty"` // below the directory
	Previous *string       `json:"previous"`         // content of the _SUCCESS that is replaced
	Manifest Manifest      `json:"manifest"`
}

// publication is one file of a journal.
type publication struct {
	Name      string `json:"name"`                // below the directory
	Temporary string `json:"temporary,omitempty"` // below the job's temporary directory
	Token     string `json:"token,omitempty"`
	Bytes     int64  `json:"bytes"`
}

func (j *journal) encode() []byte {
	text, _ := json.Marshal(j) // strings and numbers only: cannot fail
	return append(text, '\n')
}

// plan writes down what a commit has to do.
func (o Output) plan(ctx context.Context, d outputDir, files []TaskFile) (*journal, error) {
	j := &journal{Format: journalFormat, Version: 1, ID: o.ID, Manifest: Manifest{Format: manifestFormat, Version: 1, Job: o.ID, Mode: o.Mode}}
	files = slices.Clone(files)
	slices.SortStableFunc(files, func(a, b TaskFile) int { return strings.Compare(o.name(a), o.name(b)) })
	for i, f := range files {
		p := publication{Name: o.name(f), Bytes: f.Bytes, Token: f.Token}
		if i > 0 && p.Name == j.Publish[i-1].Name {
			return nil, fmt.Errorf("partition %d has two files, %s and %s", f.Partition, files[i-1].Temporary, f.Temporary)
		}
		if !o.Pending {
			tmp, below := strings.CutPrefix(f.Temporary, Join(o.URI, temporaryDir, o.ID)+"/")
			if !below {
				return nil, fmt.Errorf("%s is no file of this job", f.Temporary)
			}
			p.Temporary = tmp
		}
		j.Publish = append(j.Publish, p)
		rows := f.Rows
		j.Manifest.Files = append(j.Manifest.Files, ManifestFile{Name: p.Name, Rows: &rows, Bytes: f.Bytes, Checksum: f.Checksum})
	}
	switch text, err := d.read(ctx, d.at(SuccessFile)); {
	case err == nil:
		previous := string(text)
		j.Previous = &previous
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	var kept []ManifestFile
	for f, err := range walkFS(ctx, d.fsys, d.path) {
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return nil, err
		}
		rel := d.relative(f.Path)
		if below(rel, temporaryDir) || rel == SuccessFile {
			continue
		}
		switch o.Mode {
		case Overwrite:
			j.Remove = append(j.Remove, rel)
		case Append:
			if !hiddenPath(rel) {
				kept = append(kept, ManifestFile{Name: rel, Bytes: f.Size})
			}
		default: // it was empty when the job began
			return nil, fmt.Errorf("%w: %s appeared while the job ran", ErrOutputExists, rel)
		}
		if slices.ContainsFunc(j.Publish, func(p publication) bool { return p.Name == rel }) {
			return nil, fmt.Errorf("%w: %s appeared while the job ran", ErrOutputExists, rel)
		}
	}
	slices.Sort(j.Remove)
	j.Manifest.add(kept, j.Previous)
	return j, nil
}

// hiddenPath says whether readers skip a file below a directory.
func hiddenPath(rel string) bool {
	elems := strings.Split(rel, "/")
	for i, e := range elems {
		if hidden(Info{Path: "/" + e, IsDir: i < len(elems)-1}) {
			return true
		}
	}
	return false
}

// errLost is the error of a file that was neither published nor can be.
var errLost = errors.New("a file of the output is gone")

// carryOut does what a journal says, or finds it done. When it fails before an old file is gone, it takes back what was done, and the
// error does not wrap ErrUnfinished; but what belongs to another job is taken back only if it can never be finished.
func (d outputDir) carryOut(ctx context.Context, j *journal, own bool) error {
	if m, err := d.manifest(ctx); err == nil && m.Job == j.ID {
		return nil // all but the leftovers
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, ErrNoManifest) {
		return d.unfinished(err)
	}
	err := d.publish(ctx, j)
	// From here on the caller's wish to stop comes too late: half a commit helps nobody.
	ctx = context.WithoutCancel(ctx)
	if err != nil {
		if !own && !errors.Is(err, errLost) {
			return d.unfinished(err)
		}
		if undo := d.takeBack(ctx, j); undo != nil {
			return d.unfinished(errors.Join(err, undo))
		}
		return err
	}
	if err := d.removeOld(ctx, j); err != nil {
		return d.unfinished(err)
	}
	if err := d.put(ctx, d.at(SuccessFile), j.Manifest.encode()); err != nil {
		return d.unfinished(err)
	}
	return nil
}

func (d outputDir) unfinished(err error) error {
	return fmt.Errorf("%w: %w: write to it again, or run spark-go clean %s", ErrUnfinished, err, d.uri)
}

// publish makes all files visible.
func (d outputDir) publish(ctx context.Context, j *journal) error {
	if err := d.remove(ctx, d.at(SuccessFile)); err != nil {
		return err
	}
	return each(len(j.Publish), func(i int) error {
		p := &j.Publish[i]
		to := d.at(p.Name)
		var err error
		if p.Token != "" {
			pending, ok := d.fsys.(PendingFS)
			if !ok {
				return fmt.Errorf("publish %s: the file system cannot hold files back", p.Name)
			}
			err = pending.Publish(ctx, to, p.Token)
		} else {
			err = d.fsys.Rename(ctx, d.temporary(j.ID, p.Temporary), to)
			if errors.Is(err, fs.ErrNotExist) {
				// Published before, by whoever began to carry out the journal?
				var info Info
				if info, err = d.fsys.Stat(ctx, to); err == nil && info.Size != p.Bytes {
					err = fmt.Errorf("it has %d bytes, not %d", info.Size, p.Bytes)
				}
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("publish %s: %w: %w", p.Name, errLost, err)
		}
		if err != nil {
			return fmt.Errorf("publish %s: %w", p.Name, err)
		}
		return nil
	})
}

// takeBack restores the directory as it was before the journal, and removes the journal. It is possible only while
// all old files are there.
func (d outputDir) takeBack(ctx context.Context, j *journal) error {
	err := each(len(j.Remove), func(i int) error {
		_, err := d.fsys.Stat(ctx, d.at(j.Remove[i]))
		return err
	})
	if err == nil {
		err = each(len(j.Publish), func(i int) error { return d.remove(ctx, d.at(j.Publish[i].Name)) })
	}
	if err == nil && j.Previous != nil {
		err = d.put(ctx, d.at(SuccessFile), []byte(*j.Previous))
	}
	if err == nil {
		err = d.remove(ctx, d.temporary(j.ID, journalFile))
	}
	if err != nil {
		return fmt.Errorf("take the commit back: %w", err)
	}
	return nil
}

// removeOld removes what the new files replace, and directories that this leaves empty.
func (d outputDir) removeOld(ctx context.Context, j *journal) error {
	if err := each(len(j.Remove), func(i int) error { return d.remove(ctx, d.at(j.Remove[i])) }); err != nil {
		return err
	}
	if _, prefixes := d.fsys.(PendingFS); prefixes {
		return nil // which exist only through their files
	}
	var dirs []string
	for _, name := range j.Remove {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			dirs = append(dirs, dir)
		}
	}
	slices.Sort(dirs)
	dirs = slices.Compact(dirs)
	slices.Reverse(dirs) // the inner ones first
	for _, dir := range dirs {
		if left, err := d.fsys.List(ctx, d.at(dir)); err == nil && len(left) == 0 {
			if err := d.remove(ctx, d.at(dir)); err != nil {
				return err
			}
		}
	}
	return nil
}

// remove removes a file if it is there.
func (d outputDir) remove(ctx context.Context, p string) error {
	err := d.fsys.Remove(ctx, p)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// put makes a small file in one step. Where files are written under another name first, that name lies in the temporary
// directory, so that a process that is killed leaves nothing beside the output.
func (d outputDir) put(ctx context.Context, p string, content []byte) error {
	target := p
	if _, whole := d.fsys.(PendingFS); !whole && !below(d.relative(p), temporaryDir) {
		target = d.temporary(scratchPrefix + newID())
	}
	w, err := d.fsys.Create(ctx, target)
	if err != nil {
		return err
	}
	if _, err := w.Write(content); err != nil {
		return errors.Join(err, w.Abort())
	}
	if err := w.Close(); err != nil {
		return err
	}
	if target == p {
		return nil
	}
	return d.fsys.Rename(ctx, target, p)
}

func (d outputDir) read(ctx context.Context, p string) ([]byte, error) {
	f, err := d.fsys.Open(ctx, p)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAll(f, p)
}

// readJournal returns the journal of a job, nil if it has none.
func (d outputDir) readJournal(ctx context.Context, id string) (*journal, error) {
	p := d.temporary(id, journalFile)
	text, err := d.read(ctx, p)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	j := &journal{}
	if err := json.Unmarshal(text, j); err != nil || j.Format != journalFormat || j.ID != id {
		return nil, fmt.Errorf("read the commit journal %s: it is damaged: remove it to give the files of job %s up", p, id)
	}
	if j.Version != 1 {
		return nil, fmt.Errorf("read the commit journal %s: its version %d is newer than this program: use the spark-go that wrote it", p, j.Version)
	}
	for _, p := range j.Publish {
		if !fs.ValidPath(p.Name) || below(p.Name, temporaryDir) || p.Temporary != "" && !fs.ValidPath(p.Temporary) {
			return nil, fmt.Errorf("read the commit journal of job %s: it publishes %q, which lies outside of the output", id, p.Name)
		}
	}
	for _, name := range j.Remove {
		if !fs.ValidPath(name) || below(name, temporaryDir) {
			return nil, fmt.Errorf("read the commit journal of job %s: it removes %q, which lies outside of the output", id, name)
		}
	}
	return j, nil
}

// each calls f for 0 to n-1, some at the same time, and returns the first error; after one no more calls begin.
func each(n int, f func(i int) error) error {
	var mu sync.Mutex
	var first error
	next := 0
	var wg sync.WaitGroup
	for range min(n, publishers) {
		wg.Go(func() {
			for {
				mu.Lock()
				i := next
				next++
				stop := first != nil || i >= n
				mu.Unlock()
				if stop {
					return
				}
				if err := f(i); err != nil {
					mu.Lock()
					if first == nil {
						first = err
					}
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return first
}
