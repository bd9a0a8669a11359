package resume

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/spark-go/spark-go/shuffle"
)

const (
	suffix      = ".resume"
	lockName    = "lock"
	journalName = "journal"
	stagesName  = "stages"
	fitsName    = "fits"
)

// ErrInUse says that another driver uses the folder.
var ErrInUse = errors.New("another running driver uses it")

// Store is the open folder of one application. Its methods may be called from any goroutine; those that take news return at once.
type Store struct {
	dir     string
	limit   int64
	program Program
	lock    *os.File

	mu     sync.Mutex
	wake   sync.Cond
	queue  []func() // what the worker is to do, in order
	closed bool
	named  map[int]*kept    // by the application's number of the shuffle
	stages map[string]*kept // by identity
	let    []*kept          // that the program does not reach, those that it let go first first
	letGo  int64            // their bytes

	// The worker's own.
	journal journal
	broken  error // why nothing is kept any more
	done    chan struct{}
}

// kept is what is kept of one shuffle; Store.mu guards it.
type kept struct {
	identity string
	maps     int
	outputs  map[int]output
	bytes    int64
	live     bool // the program can reach it
}

// smallest is what an output counts at least against the limit: files and the driver's memory of them are limited as well.
const smallest = 64 << 10

// Open opens the folder of an application in dir, or makes it. Outputs that the program cannot reach any more are kept until they take more than limit
// bytes. If another driver uses the folder, the error is ErrInUse.
func Open(dir string, p Program, limit int64) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	p.Version = journalVersion
	s := &Store{dir: filepath.Join(dir, folder(p.Application)), limit: limit, program: p, named: map[int]*kept{}, stages: map[string]*kept{}, done: make(chan struct{})}
	s.wake.L = &s.mu
	if s.lock, err = lockFolder(s.dir); err != nil {
		return nil, err
	}
	if err := s.read(); err != nil {
		s.lock.Close()
		return nil, err
	}
	go s.work()
	return s, nil
}

// folder is the name of an application's folder.
func folder(application string) string {
	return strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' {
			return c
		}
		return '_'
	}, application) + suffix
}

// lockFolder makes a folder and locks it. The lock ends with the process.
func lockFolder(dir string) (*os.File, error) {
	path := filepath.Join(dir, lockName)
	for {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if errors.Is(err, fs.ErrNotExist) {
			continue // its last user removes it just now
		}
		if err != nil {
			return nil, err
		}
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			mine, err1 := f.Stat()
			there, err2 := os.Stat(path)
			if err1 == nil && err2 == nil && os.SameFile(mine, there) {
				return f, nil
			}
			f.Close() // of a folder that has been removed
			continue
		}
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w", path, ErrInUse)
		}
		if !errors.Is(err, syscall.EINTR) {
			return nil, &os.PathError{Op: "lock", Path: path, Err: err}
		}
	}
}

// read takes in the journal and begins a new one, without history. What no fact is about goes.
func (s *Store) read() error {
	list, same := load(s.dir, &s.program)
	if !same {
		if err := errors.Join(os.RemoveAll(filepath.Join(s.dir, stagesName)), os.RemoveAll(filepath.Join(s.dir, fitsName))); err != nil {
			return err
		}
	}
	facts := []fact{{Program: &s.program}}
	for i := range list {
		o := &list[i]
		facts = append(facts, fact{Kept: o})
		s.enter(s.stage(o.Shuffle, o.Maps), *o)
	}
	listed := map[*kept]bool{}
	for _, o := range list {
		if k := s.stages[o.Shuffle]; !listed[k] {
			listed[k] = true
			s.letGo += k.bytes
			s.let = append(s.let, k)
		}
	}
	entries, err := os.ReadDir(filepath.Join(s.dir, stagesName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if s.stages[e.Name()] == nil {
			_ = os.RemoveAll(filepath.Join(s.dir, stagesName, e.Name())) // of a driver that was killed before it wrote the fact
		}
	}
	s.journal.path = filepath.Join(s.dir, journalName)
	return s.journal.write(facts)
}

// stage returns what is kept of a shuffle, new if there is nothing yet.
func (s *Store) stage(identity string, maps int) *kept {
	k := s.stages[identity]
	if k == nil || k.maps != maps {
		k = &kept{identity: identity, maps: maps, outputs: map[int]output{}}
		s.stages[identity] = k
	}
	return k
}

func (s *Store) enter(k *kept, o output) {
	s.drop(k, o.Map)
	k.outputs[o.Map] = o
	k.bytes += max(o.Bytes, smallest)
}

func (s *Store) drop(k *kept, m int) bool {
	o, ok := k.outputs[m]
	if ok {
		k.bytes -= max(o.Bytes, smallest)
		delete(k.outputs, m)
	}
	return ok
}

// Fits is the folder of what trainers keep.
func (s *Store) Fits() string { return filepath.Join(s.dir, fitsName) }

func (s *Store) stageDir(identity string) string {
	return filepath.Join(s.dir, stagesName, identity)
}

func keptID(m int) shuffle.WriterID { return shuffle.WriterID{Map: m} }

// Take says that the application has given a number to the shuffle of this identity with so many map partitions, and lays
// what is kept of it down in dir under that number. It returns these outputs in map order, without their location. Outputs of this
// number that are reported to Keep from now on are kept.
func (s *Store) Take(number int, identity string, maps int, dir string) []shuffle.Output {
	s.mu.Lock()
	k := s.stage(identity, maps)
	s.named[number] = k
	if !k.live {
		k.live = true
		if i := slices.Index(s.let, k); i >= 0 {
			s.let = slices.Delete(s.let, i, i+1)
			s.letGo -= k.bytes
		}
	}
	have := make([]output, 0, len(k.outputs))
	for _, o := range k.outputs {
		have = append(have, o)
	}
	s.mu.Unlock()
	slices.SortFunc(have, func(a, b output) int { return a.Map - b.Map })
	taken := make([]shuffle.Output, 0, len(have))
	for _, o := range have {
		id := shuffle.WriterID{Shuffle: number, Map: o.Map}
		sizes, err := shuffle.LinkOutput(s.stageDir(identity), keptID(o.Map), dir, id, os.Symlink)
		if err != nil {
			slog.Warn("a map output of an earlier run cannot be used and is computed again", "shuffle", number, "map", o.Map, "error", err)
			s.Lost(number, []int{o.Map})
			continue
		}
		taken = append(taken, shuffle.Output{Map: o.Map, Sizes: sizes, Rows: o.Rows, Heavy: o.Heavy})
	}
	return taken
}

// Keep keeps a map output that lies on this machine, of a shuffle that Take was told of. It is done in the background.
func (s *Store) Keep(number int, out shuffle.Output) {
	s.later(func() {
		s.mu.Lock()
		k := s.named[number]
		there := k != nil && k.has(out.Map)
		s.mu.Unlock()
		if k == nil || there || s.broken != nil {
			return
		}
		from := shuffle.WriterID{Shuffle: number, Map: out.Map, Attempt: out.Attempt}
		sizes, err := shuffle.LinkOutput(out.Location.Dir, from, s.stageDir(k.identity), keptID(out.Map), copyFile)
		if errors.Is(err, fs.ErrNotExist) { // it is on another machine, or has been removed meanwhile
			if s.none(k) {
				_ = os.RemoveAll(s.stageDir(k.identity))
			}
			return
		}
		o := output{Shuffle: k.identity, Map: out.Map, Maps: k.maps, Rows: out.Rows, Heavy: out.Heavy}
		for _, n := range sizes {
			o.Bytes += n
		}
		if err == nil {
			err = s.journal.add(fact{Kept: &o})
		}
		if err != nil {
			s.fail(err)
			return
		}
		s.mu.Lock()
		s.enter(k, o)
		s.mu.Unlock()
	})
}

func (s *Store) none(k *kept) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(k.outputs) == 0
}

func (k *kept) has(m int) bool {
	_, ok := k.outputs[m]
	return ok
}

// Lost forgets map outputs that could not be read, and their files.
func (s *Store) Lost(number int, maps []int) {
	s.later(func() {
		s.mu.Lock()
		k := s.named[number]
		s.mu.Unlock()
		if k == nil {
			return
		}
		for _, m := range maps {
			s.mu.Lock()
			was := s.drop(k, m)
			s.mu.Unlock()
			if !was || s.broken != nil {
				continue
			}
			if err := s.journal.add(fact{Lost: &output{Shuffle: k.identity, Map: m}}); err != nil {
				s.fail(err)
			}
			_ = shuffle.RemoveOutput(s.stageDir(k.identity), keptID(m)) // what stays is written over
		}
	})
}

// Release says that the application can reach the shuffle no more. What is kept of it stays for another run, as long as such outputs take
// less than the limit.
func (s *Store) Release(number int) {
	s.later(func() {
		s.mu.Lock()
		k := s.named[number]
		delete(s.named, number)
		for _, other := range s.named {
			if other == k {
				k = nil // two datasets of the program are the same
				break
			}
		}
		var over []*kept
		if k != nil && len(k.outputs) == 0 {
			delete(s.stages, k.identity)
		} else if k != nil {
			k.live = false
			s.let = append(s.let, k)
			s.letGo += k.bytes
			for len(s.let) > 0 && s.letGo > s.limit {
				old := s.let[0]
				s.let = s.let[1:]
				s.letGo -= old.bytes
				delete(s.stages, old.identity)
				over = append(over, old)
			}
		}
		s.mu.Unlock()
		for _, old := range over {
			if s.broken != nil {
				continue
			}
			if err := s.journal.add(fact{Removed: old.identity}); err != nil {
				s.fail(err)
				return
			}
			_ = os.RemoveAll(s.stageDir(old.identity)) // what stays is swept by the next run
		}
		s.compact()
	})
}

// compact rewrites the journal when most of its lines are history.
func (s *Store) compact() {
	if s.broken != nil || s.journal.lines < 1000 {
		return
	}
	s.mu.Lock()
	n := 1
	for _, k := range s.stages {
		n += len(k.outputs)
	}
	if s.journal.lines < 2*n {
		s.mu.Unlock()
		return
	}
	facts := make([]fact, 0, n)
	facts = append(facts, fact{Program: &s.program})
	add := func(k *kept) {
		for m := range k.maps {
			if o, ok := k.outputs[m]; ok {
				facts = append(facts, fact{Kept: &o})
			}
		}
	}
	for _, k := range s.let { // in their order, which decides what goes first
		add(k)
	}
	for _, k := range s.stages {
		if k.live {
			add(k)
		}
	}
	s.mu.Unlock()
	if err := s.journal.write(facts); err != nil {
		s.fail(err)
	}
}

// fail ends the keeping: the program does not depend on it.
func (s *Store) fail(err error) {
	if s.broken == nil {
		s.broken = err
		slog.Warn("map outputs are not kept any more: another run of the program would compute again what is not kept yet", "dir", s.dir, "error", err)
	}
}

// later has the worker do something.
func (s *Store) later(do func()) {
	s.mu.Lock()
	if !s.closed {
		s.queue = append(s.queue, do)
		s.wake.Signal()
	}
	s.mu.Unlock()
}

func (s *Store) work() {
	defer close(s.done)
	for {
		s.mu.Lock()
		for len(s.queue) == 0 && !s.closed {
			s.wake.Wait()
		}
		queue := s.queue
		s.queue = nil
		closed := s.closed
		s.mu.Unlock()
		for _, do := range queue {
			do()
		}
		if closed && len(queue) == 0 {
			return
		}
	}
}

// Flush waits until everything that was reported is kept.
func (s *Store) Flush() {
	done := make(chan struct{})
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.queue = append(s.queue, func() { close(done) })
	s.wake.Signal()
	s.mu.Unlock()
	<-done
}

// Close ends the use of the folder; with remove it goes, because the application has ended well, and otherwise what was reported is kept first, as far as it is there.
func (s *Store) Close(remove bool) error {
	s.mu.Lock()
	s.closed = true
	if remove {
		s.queue = nil
	}
	s.wake.Signal()
	s.mu.Unlock()
	<-s.done
	s.journal.close()
	defer s.lock.Close()
	if !remove {
		return nil
	}
	if err := os.RemoveAll(s.dir); err != nil {
		return fmt.Errorf("remove what was kept for another run: %w", err)
	}
	return nil
}

// Removed is a folder that Clean has removed, or left because a driver uses it.
type Removed struct {
	Dir  string
	Used bool
}

// Clean removes the folders of applications in dir that no driver uses and whose journals have not changed since a time in seconds since 1970; 0 means whenever.
func Clean(dir string, changedBefore int64) (list []Removed, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		info, serr := os.Stat(filepath.Join(path, journalName))
		if !e.IsDir() || !strings.HasSuffix(e.Name(), suffix) || serr != nil {
			continue
		}
		if changedBefore != 0 && info.ModTime().Unix() >= changedBefore {
			continue
		}
		lock, lerr := lockFolder(path)
		switch {
		case errors.Is(lerr, ErrInUse):
			list = append(list, Removed{path, true})
		case lerr != nil:
			err = errors.Join(err, lerr)
		default:
			err = errors.Join(err, os.RemoveAll(path))
			lock.Close()
			list = append(list, Removed{path, false})
		}
	}
	return list, err
}

// copyFile copies a file for where links are impossible.
func copyFile(from, to string) error {
	r, err := os.Open(from)
	if err != nil {
		return err
	}
	defer r.Close()
	w, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, r)
	return errors.Join(err, w.Close())
}
