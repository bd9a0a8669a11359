package driver

import (
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/spark-go/spark-go/driver/conf"
	"github.com/spark-go/spark-go/driver/resume"
	"github.com/spark-go/spark-go/driver/sched"
	"github.com/spark-go/spark-go/executor/blocks"
	"github.com/spark-go/spark-go/io/filesys"
	"github.com/spark-go/spark-go/rdd"
	"github.com/spark-go/spark-go/rdd/closure"
	"github.com/spark-go/spark-go/shuffle"
)

// keeping keeps map outputs for another run of the program, and takes over those of an earlier one; see package resume. Before a job is
// planned, the shuffles that it may read are looked for there: what is found is registered with the scheduler as if tasks of this application had written
// it, so that its stages are skipped. All methods of a nil *keeping do nothing.
type keeping struct {
	ctx   *Context
	store *resume.Store // nil where only trainers keep something
	fits  string
	by    string                  // the program's digest
	dir   string                  // of the map outputs that were taken over
	at    func() shuffle.Location // where executors read them; known once they can be started

	sealed bool // map outputs are encrypted: only trainers keep something

	mu   sync.Mutex
	seen map[int]bool // shuffles that were looked for
}

// keep opens spark.checkpoint.dir, if that is set.
func keep(c *Context) (*keeping, error) {
	root := strings.TrimRight(c.conf.Get("spark.checkpoint.dir"), "/")
	if root == "" {
		return nil, nil
	}
	k := &keeping{ctx: c, dir: filepath.Join(c.dir, "kept"), seen: map[int]bool{}}
	digest, err := closure.Digest()
	if err != nil {
		return nil, fmt.Errorf("keep what is finished: %w", err)
	}
	program := resume.Program{Application: c.ApplicationName(), Executable: digest, Arguments: os.Args[1:], Settings: telling(c.conf)}
	if k.by, err = program.Digest(); err != nil {
		return nil, fmt.Errorf("keep what is finished: %w", err)
	}
	path, local := localDir(root)
	if !local {
		// Map outputs are linked and not copied: that is what makes it cheap to keep them all.
		slog.Info("map outputs are not kept in spark.checkpoint.dir, since it is not on a local file system: another run goes on from checkpoints alone", "dir", root)
		k.fits = filesys.Join(root, c.ApplicationName()+".resume", "fits", k.by[:16])
		return k, nil
	}
	k.store, err = resume.Open(path, program, c.conf.Bytes("spark.checkpoint.shuffle.maxSize"))
	if err != nil { // such as resume.ErrInUse: the program can do without
		slog.Warn("nothing is kept in spark.checkpoint.dir for another run, and nothing of an earlier one is used", "dir", path, "reason", err)
		return nil, nil
	}
	k.fits = k.store.Fits()
	if c.conf.Bool("spark.io.encryption.enabled") {
		// A key that lay beside what it encrypts would protect nothing, and without one another run cannot read them.
		k.sealed = true
		slog.Warn("map outputs are not kept in spark.checkpoint.dir, since they are encrypted (spark.io.encryption.enabled) and their key goes with this run: another run goes on from checkpoints alone", "dir", path)
	}
	return k, nil
}

// localDir is the path of a directory of this machine's file system.
func localDir(dir string) (path string, ok bool) {
	scheme, _, remote := strings.Cut(dir, "://")
	if !remote {
		return dir, true
	}
	u, err := url.Parse(dir)
	return dirOf(u), scheme == "file" && err == nil && (u.Host == "" || u.Host == "localhost")
}

func dirOf(u *url.URL) string {
	if u == nil {
		return ""
	}
	return u.Path
}

// mute are prefixes of settings that change how a job runs and not what comes out of it.
var mute = []string{
	"spark.master", "spark.app.name", "spark.local.dir", "spark.checkpoint.", "spark.log.", "spark.redaction.", "spark.driver.", "spark.executor.", "spark.network.",
	"spark.rpc.", "spark.memory.", "spark.shuffle.", "spark.io.", "spark.broadcast.", "spark.locality.", "spark.speculation", "spark.task.", "spark.stage.", "spark.scheduler.",
	"spark.excludeOnFailure.", "spark.decommission.", "spark.ui.", "spark.storage.", "spark.rdd.compress",
}

// telling are the settings on which results may depend. Secrets are not written down: they say who reads and not what is read.
func telling(c *conf.Conf) map[string]string {
	set := map[string]string{}
next:
	for _, s := range c.Settings() {
		for _, prefix := range mute {
			if strings.HasPrefix(s.Key, prefix) {
				continue next
			}
		}
		if c.Redacted(s.Key, s.Value) == s.Value {
			set[s.Key] = s.Value
		}
	}
	return set
}

// KeepDir implements rdd.Keeper.
func (c *Context) KeepDir() string {
	if c.keeping == nil {
		return ""
	}
	return c.keeping.fits
}

// KeptBy implements rdd.Keeper.
func (c *Context) KeptBy() string {
	if c.keeping == nil {
		return ""
	}
	return c.keeping.by
}

// placeAt says from where executors read what was taken over.
func (k *keeping) placeAt(at func() shuffle.Location) {
	if k != nil {
		k.at = at
	}
}

// files serves what was taken over to executors that do not share the driver's disk.
func (k *keeping) files() blocks.Files {
	if k == nil {
		return nil
	}
	return func(id, mapID int, attempt int64, start, end int) (*os.File, int64, int64, error) {
		return shuffle.OpenBlock(k.dir, id, mapID, attempt, start, end)
	}
}

// outputs says whether map outputs are kept.
func (k *keeping) outputs() bool { return k != nil && k.store != nil && !k.sealed }

// offer looks for the map outputs that a job may read, those nearest to its target first: what is before a complete shuffle is not needed. Each shuffle is
// looked for once, before the first job that may read it.
func (k *keeping) offer(target *rdd.Node) {
	if !k.outputs() {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock() // until the loop's queue has the news: a job planned after this one reads the same shuffles
	visited := map[*rdd.Node]bool{target: true}
	stack := []*rdd.Node{target}
	visit := func(n *rdd.Node) {
		if !visited[n] {
			visited[n] = true
			stack = append(stack, n)
		}
	}
	for len(stack) > 0 {
		n := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		for _, d := range n.Dependencies() {
			sh, wide := d.(*rdd.Shuffle)
			if !wide || !k.seen[sh.ID] && !k.find(sh) {
				visit(d.On())
			}
		}
	}
}

// find offers what is kept of a shuffle to the scheduler, and reports whether that is all of it.
func (k *keeping) find(sh *rdd.Shuffle) bool {
	k.seen[sh.ID] = true
	id, err := sh.Identity()
	if err != nil {
		slog.Debug("a shuffle is not kept for another run", "shuffle", sh.ID, "reason", err)
		return false
	}
	if id.Counted {
		slog.Debug("a shuffle is not kept for another run, since what it adds to accumulators would be missing", "shuffle", sh.ID)
		return false
	}
	maps := sh.Node.Partitions()
	found := k.store.Take(sh.ID, id.String(), maps, k.dir)
	if len(found) == 0 {
		return false
	}
	for i := range found {
		found[i].Location = k.at()
		found[i].Location.Executor = fmt.Sprintf("an earlier run's shuffle %d", sh.ID) // what is damaged in one says nothing about others
		found[i].Location.Dir = k.dir
	}
	slog.Info("map outputs of an earlier run are used", "shuffle", sh.ID, "of", sh.Node, "outputs", len(found), "missing", maps-len(found))
	k.ctx.loop.queue.put(sched.OutputsFound{Shuffle: sh.ID, Maps: maps, Outputs: found})
	return len(found) == maps
}

// keep keeps a map output that counts.
func (k *keeping) keep(id int, out shuffle.Output) {
	if k.outputs() {
		k.store.Keep(id, out)
	}
}

// lost forgets map outputs that could not be read: what is kept of them is the same file.
func (k *keeping) lost(id int, maps []int) {
	if k.outputs() {
		k.store.Lost(id, maps)
	}
}

// release is told of a shuffle that the program can reach no more.
func (k *keeping) release(id int) {
	if !k.outputs() {
		return
	}
	k.mu.Lock()
	delete(k.seen, id)
	k.mu.Unlock()
	k.store.Release(id)
	if err := shuffle.RemoveShuffle(k.dir, id); err != nil {
		slog.Warn("map outputs of an earlier run are left", "error", err)
	}
}

// close ends the keeping, and removes what was kept if the application ends well.
func (k *keeping) close(well bool) {
	if k == nil || k.store == nil {
		return // trainers remove what they kept
	}
	if err := k.store.Close(well); err != nil {
		slog.Warn("files are left", "error", err)
	}
}

// jobEnd is how the last job ended.
type jobEnd uint8

const (
	noJob jobEnd = iota
	jobSucceeded
	jobFailed
)

func (c *Context) jobEnded(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lastJob = jobSucceeded
	if err != nil {
		c.lastJob = jobFailed
	}
}

// endsWell tells, when the application stops, whether its program has done what it wanted to do: its last job has succeeded, none is running and nobody interrupts it.
func (c *Context) endsWell() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lastJob == jobSucceeded && len(c.groups) == 0 && !c.interrupted.Load()
}
