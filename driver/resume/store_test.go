package resume

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spark-go/spark-go/shuffle"
)

var program = Program{Application: "a b/c", Executable: strings.Repeat("e", 64), Arguments: []string{"--rank", "8"}, Settings: map[string]string{"spark.hadoop.x": "1"}}

func open(t *testing.T, dir string, p Program, limit int64) *Store {
	t.Helper()
	s, err := Open(dir, p, limit)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// write makes a map output as a task would, with two reduce partitions.
func write(t *testing.T, dir string, id shuffle.WriterID, rows int) shuffle.Output {
	t.Helper()
	env := &shuffle.Env{Location: shuffle.Location{Executor: "1", Host: "h", Dir: dir}, SpillDir: t.TempDir()}
	w, err := shuffle.NewWriter[int64](context.Background(), env, id, 2)
	if err != nil {
		t.Fatal(err)
	}
	in, parts := make([]int64, rows), make([]int32, rows)
	for i := range in {
		in[i], parts[i] = int64(id.Map*1000+i), int32(i%2)
	}
	if err := w.Write(in, parts); err != nil {
		t.Fatal(err)
	}
	out, err := w.Commit()
	if err != nil {
		t.Fatal(err)
	}
	out.Heavy = []shuffle.Heavy{{Partition: 1, Rows: int64(rows)}} // which the scheduler of hot keys goes by
	return out
}

func read(t *testing.T, dir string, number int, outs []shuffle.Output) (sum int64) {
	t.Helper()
	for i := range outs {
		outs[i].Location = shuffle.Location{Host: "h", Dir: dir}
	}
	env := &shuffle.Env{Location: shuffle.Location{Host: "h"}, SpillDir: t.TempDir()}
	in, err := shuffle.Read[int64](context.Background(), env, number, outs, 0, 2)
	if err != nil {
		t.Fatal(err)
	}
	for {
		rows, err := in.Next()
		if err != nil {
			return sum
		}
		for _, x := range rows {
			sum += x
		}
	}
}

func identity(n int) string { return fmt.Sprintf("%064x", n) }

// die closes a store as a kill of the driver would.
func die(s *Store) {
	s.Flush()
	s.journal.close()
	s.lock.Close()
}

func TestTakesOverWhatADeadDriverKept(t *testing.T) {
	dir, app := t.TempDir(), t.TempDir()
	first := open(t, dir, program, 1<<30)
	if got := first.Take(3, identity(1), 3, app); len(got) != 0 {
		t.Fatalf("a new folder gives %v", got)
	}
	for m := range 2 {
		first.Keep(3, write(t, app, shuffle.WriterID{Shuffle: 3, Map: m, Attempt: 70}, 10))
	}
	want := int64(45 + 10_045)
	if _, err := Open(dir, program, 1); !errors.Is(err, ErrInUse) {
		t.Fatalf("a second driver gets %v", err)
	}
	if list, err := Clean(dir, 0); err != nil || len(list) != 1 || !list[0].Used {
		t.Fatalf("clean removes %v, %v while a driver is there", list, err)
	}
	die(first)
	os.RemoveAll(app)
	next := t.TempDir()
	second := open(t, dir, program, 1<<30)
	outs := second.Take(8, identity(1), 3, next) // under another number
	if len(outs) != 2 || outs[1].Map != 1 || outs[1].Rows != 10 || len(outs[1].Heavy) != 1 || outs[1].Heavy[0].Rows != 10 || len(outs[0].Sizes) != 2 {
		t.Fatalf("taken over: %+v", outs)
	}
	if got := read(t, next, 8, outs); got != want {
		t.Errorf("sum %d, want %d", got, want)
	}
	second.Lost(8, []int{0})
	die(second)
	third := open(t, dir, program, 1<<30)
	if outs := third.Take(0, identity(1), 3, t.TempDir()); len(outs) != 1 || outs[0].Map != 1 {
		t.Errorf("after a loss: %+v", outs)
	}
	if err := third.Close(true); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

func TestAnotherProgramUsesNothing(t *testing.T) {
	for name, change := range map[string]func(*Program){
		"executable": func(p *Program) { p.Executable = strings.Repeat("f", 64) },
		"arguments":  func(p *Program) { p.Arguments = []string{"--rank", "9"} },
		"setting":    func(p *Program) { p.Settings = map[string]string{"spark.hadoop.x": "2"} },
		"unset":      func(p *Program) { p.Settings = nil },
		"more set":   func(p *Program) { p.Settings = map[string]string{"spark.hadoop.x": "1", "spark.hadoop.y": "1"} },
	} {
		t.Run(name, func(t *testing.T) {
			dir, app := t.TempDir(), t.TempDir()
			first := open(t, dir, program, 1<<30)
			first.Take(0, identity(1), 1, app)
			first.Keep(0, write(t, app, shuffle.WriterID{}, 10))
			die(first)
			other := program
			change(&other)
			if program.difference(&other) == "" {
				t.Error("no difference is named")
			}
			second := open(t, dir, other, 1<<30)
			defer second.Close(true)
			if outs := second.Take(0, identity(1), 1, app); len(outs) != 0 {
				t.Errorf("it takes over %v", outs)
			}
			if left, _ := os.ReadDir(filepath.Join(second.dir, stagesName)); len(left) != 0 {
				t.Errorf("files of the other program are left: %v", left)
			}
		})
	}
}

// The state of trainers is kept by the same program, also by one that has no shuffle and so keeps no output; that of another program goes.
func TestFitsAreKept(t *testing.T) {
	dir := t.TempDir()
	first := open(t, dir, program, 1<<30)
	file := filepath.Join(first.Fits(), "kmeans.checkpoint")
	if err := errors.Join(os.MkdirAll(first.Fits(), 0o700), os.WriteFile(file, []byte("state"), 0o600)); err != nil {
		t.Fatal(err)
	}
	die(first)
	second := open(t, dir, program, 1<<30)
	if _, err := os.Stat(file); err != nil {
		t.Errorf("the same program: %v", err)
	}
	die(second)
	other := program
	other.Arguments = []string{"--k", "9"}
	third := open(t, dir, other, 1<<30)
	defer third.Close(true)
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("another program: %v", err)
	}
}

// Every way in which the journal may be cut or damaged gives a part of what was kept, never something else.
func TestDamagedJournal(t *testing.T) {
	dir, app := t.TempDir(), t.TempDir()
	first := open(t, dir, program, 1<<30)
	first.Take(0, identity(1), 4, app)
	for m := range 4 {
		first.Keep(0, write(t, app, shuffle.WriterID{Map: m}, 10))
	}
	die(first)
	path := filepath.Join(first.dir, journalName)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.Default()
	slog.SetDefault(slog.New(slog.DiscardHandler))
	defer slog.SetDefault(log)
	p := program
	p.Version = journalVersion
	known := func() int {
		list, _ := load(first.dir, &p)
		return len(list)
	}
	if n := known(); n != 4 {
		t.Fatalf("%d outputs are known", n)
	}
	last := 0
	for n := range whole {
		if err := os.WriteFile(path, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		known := known()
		if lines := bytes.Count(whole[:n], []byte("\n")); known != max(lines-1, 0) || known < last {
			t.Fatalf("%d lines of the journal say %d outputs", lines, known)
		}
		last = known
	}
	for n := range whole {
		bad := bytes.Clone(whole)
		bad[n] ^= 0x10
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if known := known(); known > 3 {
			t.Fatalf("with byte %d damaged %d outputs are known", n, known)
		}
	}
}

// Data that is shorter than its index says, and an index that is damaged, are found when the output is taken over.
func TestDamagedOutputs(t *testing.T) {
	dir, app := t.TempDir(), t.TempDir()
	first := open(t, dir, program, 1<<30)
	first.Take(0, identity(1), 3, app)
	for m := range 3 {
		first.Keep(0, write(t, app, shuffle.WriterID{Map: m}, 10))
	}
	die(first)
	if err := os.Truncate(shuffle.DataFile(first.stageDir(identity(1)), keptID(0)), 5); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(shuffle.IndexFile(first.stageDir(identity(1)), keptID(1)), []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	second := open(t, dir, program, 1<<30)
	if outs := second.Take(0, identity(1), 3, t.TempDir()); len(outs) != 1 || outs[0].Map != 2 {
		t.Errorf("taken over: %+v", outs)
	}
	die(second)
	third := open(t, dir, program, 1<<30)
	defer third.Close(true)
	if n := len(third.stages[identity(1)].outputs); n != 1 {
		t.Errorf("%d outputs are known after the damage was found", n)
	}
}

// What the program lets go of stays up to the limit, and the journal does not grow with history.
func TestLetGoUpToTheLimit(t *testing.T) {
	dir, app := t.TempDir(), t.TempDir()
	s := open(t, dir, program, 5*smallest)
	for i := range 700 {
		s.Take(i, identity(i), 1, app)
		s.Keep(i, write(t, app, shuffle.WriterID{Shuffle: i}, 10))
		s.Release(i)
		if i%50 == 49 || i >= 690 { // otherwise the program may remove its files before they are kept
			s.Flush()
		}
		if err := shuffle.RemoveShuffle(app, i); err != nil && i%50 == 0 {
			t.Fatal(err)
		}
	}
	s.Flush()
	s.mu.Lock()
	known := len(s.stages)
	s.mu.Unlock()
	entries, _ := os.ReadDir(filepath.Join(s.dir, stagesName))
	if known > 5 || len(entries) > 5 || s.journal.lines > 1100 {
		t.Errorf("%d shuffles are known, %d have folders, the journal has %d lines", known, len(entries), s.journal.lines)
	}
	// Those that were let go last are there.
	s.Take(9999, identity(699), 1, app)
	if known == 0 {
		t.Error("nothing is kept")
	}
	if err := s.Close(true); err != nil {
		t.Fatal(err)
	}
}

func FuzzJournal(f *testing.F) {
	line, err := appendLine(nil, fact{Kept: &output{Shuffle: identity(1), Map: 1, Maps: 2}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(line)
	f.Add([]byte("00000000 {}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		facts, whole, damaged := readJournal(b)
		if whole > len(b) || len(facts)+damaged != bytes.Count(b, []byte("\n")) {
			t.Errorf("%d facts and %d damaged lines in %d of %d bytes", len(facts), damaged, whole, len(b))
		}
	})
}
