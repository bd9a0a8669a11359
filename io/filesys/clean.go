package filesys

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path"
	"slices"
	"strings"
	"time"
)

// CleanOptions say what Clean takes away.
type CleanOptions struct {
	// OlderThan spares what was alive more recently.
	OlderThan time.Duration
}

// CleanReport says what Clean did.
type CleanReport struct {
	Finished  []string // jobs whose commit was carried out: the output is complete
	TakenBack []string // jobs whose commit was undone, since a file was lost: the output is what it was before
	Removed   []string // jobs that died before their commit: their temporary files are gone
	Uploads   int      // uncompleted uploads that were aborted, besides those of the jobs above
	Spared    []string // jobs younger than OlderThan
	Foreign   []string // what lies where temporary files do and is not ours: left as it is
}

// Clean finishes interrupted commits in an output directory and removes what dead jobs left there. A job that is alive is left alone and is
// an error that wraps ErrBusy. What spark-go did not write is not touched.
func Clean(ctx context.Context, uri string, options CleanOptions) (CleanReport, error) {
	d, err := openDir(ctx, uri)
	if err != nil {
		return CleanReport{}, err
	}
	if info, err := d.fsys.Stat(ctx, d.path); err == nil && !info.IsDir {
		return CleanReport{}, fmt.Errorf("clean %s: it is a file: name the output directory", uri)
	}
	r, err := d.clean(ctx, options)
	if err != nil {
		err = fmt.Errorf("clean %s: %w", uri, err)
	}
	return r, err
}

// recover settles what dead jobs left before another one begins.
func (d outputDir) recover(ctx context.Context) error {
	r, err := d.clean(ctx, CleanOptions{})
	for _, id := range r.Finished {
		slog.Info("the commit of a job that died was finished", "output", d.uri, "job", id)
	}
	for _, id := range r.TakenBack {
		slog.Warn("the commit of a job that died was taken back", "output", d.uri, "job", id)
	}
	return err
}

func (d outputDir) clean(ctx context.Context, o CleanOptions) (r CleanReport, err error) {
	// Uploads are listed before jobs: the job of an upload that is alive has announced itself earlier.
	uploads, err := d.uploads(ctx)
	if err != nil {
		return r, err
	}
	jobs, err := d.jobs(ctx)
	if err != nil {
		return r, err
	}
	var busy []error
	left := map[string]bool{} // jobs that stay
	for _, j := range jobs {
		if err := d.alive(ctx, j); err != nil {
			if !errors.Is(err, ErrBusy) {
				return r, err
			}
			busy = append(busy, err)
			left[j.id] = true
			continue
		}
		if young, err := d.young(ctx, j, o.OlderThan); err != nil {
			return r, err
		} else if young {
			r.Spared = append(r.Spared, j.id)
			left[j.id] = true
			continue
		}
		if err := d.settle(ctx, j.id, &r); err != nil {
			return r, err
		}
	}
	for _, u := range uploads {
		id := uploadOf(u.Path)
		switch {
		case id == "":
			r.Foreign = append(r.Foreign, d.relative(u.Path)+" (an uncompleted upload)")
		case left[id] || slices.ContainsFunc(jobs, func(j leftJob) bool { return j.id == id }):
		case o.OlderThan > 0 && time.Since(u.Started) < o.OlderThan:
			if !slices.Contains(r.Spared, id) {
				r.Spared = append(r.Spared, id)
			}
		default:
			if err := d.fsys.(PendingFS).Discard(ctx, u); err != nil {
				return r, err
			}
			r.Uploads++
		}
	}
	return r, errors.Join(append(busy, d.tidy(ctx, len(left) == 0, &r))...)
}

// young says whether a dead job is too young to be cleaned.
func (d outputDir) young(ctx context.Context, j leftJob, limit time.Duration) (bool, error) {
	if limit <= 0 {
		return false, nil
	}
	seen := j.seen
	if j.marker == nil {
		for f, err := range walkFS(ctx, d.fsys, d.temporary(j.id)) {
			if errors.Is(err, fs.ErrNotExist) {
				break
			}
			if err != nil {
				return false, err
			}
			if f.ModTime.After(seen) {
				seen = f.ModTime
			}
		}
	}
	now, err := d.now(ctx)
	return now.Sub(seen) < limit, err
}

// settle carries out the journal of a dead job, if it came so far, and removes what is left of it.
func (d outputDir) settle(ctx context.Context, id string, r *CleanReport) error {
	j, err := d.readJournal(ctx, id)
	if err != nil {
		return err
	}
	what := &r.Removed
	if j != nil {
		what = &r.Finished
		if err := d.carryOut(ctx, j, false); errors.Is(err, ErrUnfinished) {
			return err
		} else if err != nil {
			what = &r.TakenBack
		}
	}
	if err := d.removeJob(ctx, id); err != nil {
		return err
	}
	*what = append(*what, id)
	return nil
}

// removeJob removes everything that a job wrote and did not publish: first the journal, since a later reader of it would be misled, last the
// marker, since without it nobody knows whose the rest is.
func (d outputDir) removeJob(ctx context.Context, id string) error {
	if err := d.remove(ctx, d.temporary(id, journalFile)); err != nil {
		return err
	}
	uploads, err := d.uploads(ctx)
	if err != nil {
		return err
	}
	uploads = slices.DeleteFunc(uploads, func(u Pending) bool { return uploadOf(u.Path) != id })
	if err := each(len(uploads), func(i int) error { return d.fsys.(PendingFS).Discard(ctx, uploads[i]) }); err != nil {
		return err
	}
	children, err := d.fsys.List(ctx, d.temporary(id))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	children = slices.DeleteFunc(children, func(c Info) bool { return c.Name() == markerFile })
	if err := each(len(children), func(i int) error { return d.fsys.RemoveAll(ctx, children[i].Path) }); err != nil {
		return err
	}
	if err := d.fsys.RemoveAll(ctx, d.temporary(id, markerFile)); err != nil {
		return err
	}
	if err := d.fsys.RemoveAll(ctx, d.temporary(id)); err != nil {
		return err
	}
	return d.tidy(ctx, false, &CleanReport{})
}

// tidy removes the temporary directory if no job uses it, and with scratch what writing small files left in it.
func (d outputDir) tidy(ctx context.Context, scratch bool, r *CleanReport) error {
	children, err := d.fsys.List(ctx, d.temporary())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	left := 0
	for _, c := range children {
		switch {
		case scratch && !c.IsDir && strings.Contains(c.Name(), scratchPrefix):
			if err := d.remove(ctx, c.Path); err != nil {
				return err
			}
			continue
		case !isID(c.Name()) && !strings.Contains(c.Name(), scratchPrefix):
			r.Foreign = append(r.Foreign, d.relative(c.Path))
		}
		left++
	}
	if _, prefixes := d.fsys.(PendingFS); left > 0 || prefixes {
		return nil
	}
	// Another job may have begun since.
	if err := d.fsys.Remove(ctx, d.temporary()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		if again, e := d.fsys.List(ctx, d.temporary()); e == nil && len(again) > 0 {
			return nil
		}
		return err
	}
	return nil
}

// uploads lists the unpublished files below the directory.
func (d outputDir) uploads(ctx context.Context) ([]Pending, error) {
	p, ok := d.fsys.(PendingFS)
	if !ok {
		return nil, nil
	}
	return p.Pending(ctx, d.path)
}

// uploadOf is the job that an unpublished file belongs to, by its name (part-00001-ID.parquet); empty if it is not ours.
func uploadOf(p string) string {
	rest, ok := strings.CutPrefix(path.Base(p), "part-")
	if !ok {
		return ""
	}
	if _, rest, ok = digits(rest); !ok || len(rest) < 17 || rest[0] != '-' || !isID(rest[1:17]) || len(rest) > 17 && rest[17] != '.' {
		return ""
	}
	return rest[1:17]
}
