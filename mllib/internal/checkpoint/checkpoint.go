// Package checkpoint keeps the state of a long fit in one file, from which the same fit goes on after its program has ended.
//
// # Concept
//
// A trainer opens its Keeper before it does anything dear, says what the fit depends on once that is known, asks for the state of an earlier
// run, saves its own every so often, and removes it when the model is there. All trainers have the same two settings: CheckpointDir, a directory
// on any file system, and CheckpointInterval, after how many iterations (of a forest: trees) the state is saved.
//
// # Invariants
//
//   - A fit that goes on ends with the same bytes as one that was never interrupted: the state is all that the rest depends on.
//   - A file of another fit is refused with the first difference; so is a damaged one, and one that another version of the engine wrote, which may
//     draw other random numbers. Nothing is trained anew in silence.
//   - A file is there whole or not at all, and it is the last one that was written whole.
//
// All methods of a nil *Keeper do nothing, which is what Open returns without a directory.
package checkpoint

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/spark-go/spark-go/io/filesys"
	"github.com/spark-go/spark-go/mllib/modelfile"
	"github.com/spark-go/spark-go/rdd"
)

// Interval is the default CheckpointInterval.
const Interval = 10

// Check holds the two settings against each other, whose defaults have been filled in.
func Check(dir string, interval int) error {
	switch {
	case interval < 1 && interval != -1:
		return fmt.Errorf("CheckpointInterval is %d: choose 1 or more, or -1 for no checkpoints", interval)
	case dir != "" && interval == -1:
		return fmt.Errorf("CheckpointDir is %q and CheckpointInterval -1: choose after how many iterations to save there", dir)
	}
	return nil
}

// Property is something that a fit depends on.
type Property struct{ Name, Value string }

// Of makes a property of a setting or a number of the data. Long values are known by their digests.
func Of(name string, value any) Property {
	text := fmt.Sprint(value)
	if len(text) > 64 {
		sum := sha256.Sum256([]byte(text))
		text = hex.EncodeToString(sum[:])
	}
	return Property{name, text}
}

// data is the property of the data's digest.
const data = "data"

// Data is the property of the data itself, from the digests of its parts.
func Data(digests ...string) Property {
	h := sha256.New()
	for _, d := range digests {
		fmt.Fprintln(h, d)
	}
	return Property{data, hex.EncodeToString(h.Sum(nil))}
}

// Keeper keeps the state of one fit.
type Keeper struct {
	uri, kind  string
	version    int
	properties []Property
	exists     bool

	// Where the application keeps things and nobody asked for this checkpoint: the folder, and the name without what tells fits apart. Then
	// the fit does not depend on the file.
	folder, name string
	broken       bool // it cannot be written
}

// Open says where a fit is kept: in the file name.checkpoint of the directory. It fails if that cannot be written. kind and version are of the state's
// content, as modelfile.New takes them. An empty directory gives nil.
func Open(ctx context.Context, dir, name, kind string, version int) (*Keeper, error) {
	if dir == "" {
		return nil, nil
	}
	k := &Keeper{uri: filesys.Join(dir, name+".checkpoint"), kind: kind + ".checkpoint", version: version}
	if err := modelfile.CanSave(ctx, k.uri); err != nil {
		return nil, fmt.Errorf("keep checkpoints: %w: choose another CheckpointDir", err)
	}
	return k, nil
}

// OpenFor is Open for a fit on a session's data. Without a directory, and unless interval is -1, the fit is kept where the session keeps what is
// finished (spark.checkpoint.dir), if it does: in a file of its own, whatever else is trained, so that the program goes on in its middle when it is run
// again. Such a file is no promise: one that cannot be written or used costs a warning.
func OpenFor(ctx context.Context, s rdd.Session, dir string, interval int, name, kind string, version int) (*Keeper, error) {
	folder := rdd.KeepDir(s)
	if dir != "" || folder == "" || interval < 1 {
		return Open(ctx, dir, name, kind, version)
	}
	return &Keeper{kind: kind + ".checkpoint", version: version, folder: folder, name: name}, nil
}

// own says in which file a fit is kept that nobody asked to keep.
func (k *Keeper) own() {
	h := sha256.New()
	fmt.Fprintln(h, k.kind, k.version)
	for _, p := range k.properties {
		fmt.Fprintf(h, "%q %q\n", p.Name, p.Value)
	}
	k.uri = filesys.Join(k.folder, fmt.Sprintf("%s-%x.checkpoint", k.name, h.Sum(nil)[:8]))
}

// Resume returns the state of an earlier run of this fit, or nil if there is none. The properties are all that the state depends on; the first that differs is
// named.
func (k *Keeper) Resume(ctx context.Context, properties ...Property) (*modelfile.File, error) {
	if k == nil {
		return nil, nil
	}
	k.properties = properties
	if k.folder != "" {
		k.own()
	}
	f, err := modelfile.Load(ctx, k.uri, k.kind, k.version)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		err = k.same(f)
	}
	if err != nil && k.folder != "" && ctx.Err() == nil {
		slog.WarnContext(ctx, "a checkpoint of an earlier run is not used", "file", k.uri, "reason", err)
		return nil, nil
	}
	if err != nil {
		return nil, k.Refuse(err)
	}
	k.exists = true
	return f, nil
}

// same tells how a file differs from this fit.
func (k *Keeper) same(f *modelfile.File) error {
	if f.Version() != k.version {
		return fmt.Errorf("its content has version %d, this program writes %d", f.Version(), k.version)
	}
	if now := modelfile.New(k.kind, k.version).Engine(); f.Engine() != now {
		return fmt.Errorf("version %s of the engine wrote it, this is %s", f.Engine(), now)
	}
	var its []Property
	if err := f.Get("properties", &its); err != nil {
		return err
	}
	for i, p := range k.properties {
		switch {
		case i >= len(its) || its[i].Name != p.Name:
			return errors.New("it is of another kind of fit")
		case its[i].Value == p.Value:
		case p.Name == data:
			return errors.New("it is of a fit on other data")
		default:
			return fmt.Errorf("it is of a fit with %s %s, this one has %s", p.Name, its[i].Value, p.Value)
		}
	}
	if len(its) != len(k.properties) {
		return errors.New("it is of another kind of fit")
	}
	return nil
}

// Refuse is the error of a state that the fit cannot go on from.
func (k *Keeper) Refuse(err error) error {
	return fmt.Errorf("go on from the checkpoint %s: %w: remove it, or choose another CheckpointDir", k.uri, err)
}

// Iteration reads after which iteration a state was saved, and checks that some are left to do.
func (k *Keeper) Iteration(f *modelfile.File, most int) (int, error) {
	var done int
	if err := f.Get("iteration", &done); err != nil {
		return 0, err
	}
	if done < 1 {
		return 0, fmt.Errorf("it was saved after iteration %d", done)
	}
	if done >= most {
		return 0, fmt.Errorf("it was saved after iteration %d and MaxIter is %d: choose more", done, most)
	}
	return done, nil
}

// Resumed logs that a fit goes on.
func (k *Keeper) Resumed(ctx context.Context, fit, unit string, done int) {
	slog.InfoContext(ctx, fit+": going on from a checkpoint", "file", k.uri, unit, done)
}

// Save replaces the file by one that fill fills.
func (k *Keeper) Save(ctx context.Context, fill func(*modelfile.File)) error {
	if k == nil || k.broken {
		return nil
	}
	f := modelfile.New(k.kind, k.version)
	f.Set("properties", k.properties)
	fill(f)
	k.exists = true
	if err := f.Save(ctx, k.uri); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if k.folder != "" {
			k.broken = true
			slog.WarnContext(ctx, "a fit is not kept for another run of the program", "file", k.uri, "reason", err)
			return nil
		}
		return fmt.Errorf("keep a checkpoint: %w", err)
	}
	return nil
}

// Remove removes the file of a fit that has its model. That a file stays is worth a warning and no more.
func (k *Keeper) Remove(ctx context.Context) {
	if k == nil || !k.exists {
		return
	}
	fsys, path, err := filesys.Get(ctx, k.uri)
	if err == nil {
		err = fsys.Remove(ctx, path)
	}
	if err != nil {
		slog.WarnContext(ctx, "the checkpoint of a finished fit is left", "file", k.uri, "error", err)
	}
}
