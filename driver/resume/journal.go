package resume

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/spark-go/spark-go/shuffle"
)

// The journal is text. A line is the CRC-32C of a fact in eight hexadecimal digits, a space, and the fact as JSON. The first fact is the
// program; the others follow in the order in which they became true. Lines are appended, each by one write; when most of
// them are history, a new file takes the place of the old one.

// journalVersion changes with the meaning of the facts, and with the files that they are about.
const journalVersion = 1

// fact is a line: one of the fields is set.
type fact struct {
	Program *Program `json:"program,omitempty"`
	Kept    *output  `json:"kept,omitempty"`
	Lost    *output  `json:"lost,omitempty"`    // an output that was kept is not any more
	Removed string   `json:"removed,omitempty"` // the same of all outputs of a shuffle
}

// output names a map output.
type output struct {
	Shuffle string `json:"shuffle"` // its identity
	Map     int    `json:"map"`
	Maps    int    `json:"maps,omitempty"` // of the shuffle
	Bytes   int64  `json:"bytes,omitempty"`
	// What the task told of its rows.
	Rows  int64           `json:"rows,omitempty"`
	Heavy []shuffle.Heavy `json:"heavy,omitempty"`
}

// Program is what identities depend on without holding it.
type Program struct {
	Version     int               `json:"version"`
	Application string            `json:"application"`
	Executable  string            `json:"executable"` // its SHA-256
	Arguments   []string          `json:"arguments"`
	Settings    map[string]string `json:"settings"` // those that functions may look at, without secrets
}

// Digest is that of all of it.
func (p Program) Digest() (string, error) {
	b, err := json.Marshal(p) // with sorted keys
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", sha256.Sum256(b)), nil
}

// difference says how another program differs; empty if it does not.
func (p *Program) difference(o *Program) string {
	switch {
	case p.Version != o.Version:
		return fmt.Sprintf("another version of spark-go made it (%d, this is %d)", o.Version, p.Version)
	case p.Application != o.Application:
		return fmt.Sprintf("application %q made it", o.Application)
	case p.Executable != o.Executable:
		return fmt.Sprintf("another executable made it (%.12s, this is %.12s)", o.Executable, p.Executable)
	case !slices.Equal(p.Arguments, o.Arguments):
		return fmt.Sprintf("the program had the arguments %q, now %q", o.Arguments, p.Arguments)
	}
	for _, key := range slices.Sorted(maps.Keys(o.Settings)) {
		if now, set := p.Settings[key]; !set || now != o.Settings[key] {
			return fmt.Sprintf("%s was %q, now %q", key, o.Settings[key], now)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(p.Settings)) {
		if _, was := o.Settings[key]; !was {
			return fmt.Sprintf("%s was not set, now %q", key, p.Settings[key])
		}
	}
	return ""
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendLine writes a fact as a line.
func appendLine(b []byte, f fact) ([]byte, error) {
	text, err := json.Marshal(f)
	if err != nil {
		return b, err
	}
	b = fmt.Appendf(b, "%08x ", crc32.Checksum(text, castagnoli))
	return append(append(b, text...), '\n'), nil
}

// parseLine reads what appendLine wrote, without the line's end.
func parseLine(line []byte) (f fact, err error) {
	sum, text, ok := bytes.Cut(line, []byte(" "))
	want, err := strconv.ParseUint(string(sum), 16, 32)
	if !ok || err != nil || len(sum) != 8 {
		return f, fmt.Errorf("it does not begin with a checksum")
	}
	if crc32.Checksum(text, castagnoli) != uint32(want) {
		return f, fmt.Errorf("its checksum is wrong")
	}
	return f, json.Unmarshal(text, &f)
}

// readJournal reads the facts of a journal. What comes after the last line's end is the torn work of a driver that was killed; other damaged
// lines are left out too, since each fact stands for itself. whole is the length of what ends with a line.
func readJournal(b []byte) (facts []fact, whole, damaged int) {
	for {
		i := bytes.IndexByte(b[whole:], '\n')
		if i < 0 {
			return facts, whole, damaged
		}
		f, err := parseLine(b[whole : whole+i])
		whole += i + 1
		if err != nil {
			damaged++
			continue
		}
		facts = append(facts, f)
	}
}

// journal is open for appending.
type journal struct {
	path  string
	file  *os.File
	lines int
	buf   []byte
}

// write makes a new journal of these facts in the place of an old one.
func (j *journal) write(facts []fact) (err error) {
	buf := j.buf[:0]
	for _, f := range facts {
		if buf, err = appendLine(buf, f); err != nil {
			return err
		}
	}
	j.buf = buf
	next := j.path + ".new"
	f, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	if _, err = f.Write(buf); err == nil {
		err = os.Rename(next, j.path)
	}
	if err != nil {
		f.Close()
		return err
	}
	j.close()
	j.file, j.lines = f, len(facts)
	return nil
}

// add appends a fact with one write: a driver that is killed leaves the whole line or a torn last one. It is not forced to the disk: kills of
// processes cannot harm it, and what a power cut takes is computed again.
func (j *journal) add(f fact) error {
	line, err := appendLine(j.buf[:0], f)
	if err != nil {
		return err
	}
	j.buf = line
	j.lines++
	_, err = j.file.Write(line)
	return err
}

func (j *journal) close() {
	if j.file != nil {
		j.file.Close()
		j.file = nil
	}
}

// load reads the journal in dir and says which outputs it knows, of which there may be none. A journal of another program counts for nothing:
// then same is false.
func load(dir string, p *Program) (kept []output, same bool) {
	b, err := os.ReadFile(filepath.Join(dir, journalName))
	if err != nil {
		return nil, false
	}
	facts, whole, damaged := readJournal(b)
	if torn := len(b) - whole; damaged > 0 || torn > 0 {
		slog.Info("the journal of what an earlier run kept is damaged: what it does not say is computed again", "dir", dir, "lines", damaged, "torn", torn)
	}
	if len(facts) == 0 || facts[0].Program == nil {
		slog.Warn("what an earlier run kept is not used: its journal does not say which program it was", "dir", dir)
		return nil, false
	}
	if why := p.difference(facts[0].Program); why != "" {
		slog.Warn("what an earlier run kept is not used: "+why, "dir", dir)
		return nil, false
	}
	type place struct {
		shuffle string
		m       int
	}
	known := map[place]output{}
	var order []place
	for _, f := range facts[1:] {
		switch {
		case f.Kept != nil:
			at := place{f.Kept.Shuffle, f.Kept.Map}
			if _, twice := known[at]; !twice {
				order = append(order, at)
			}
			known[at] = *f.Kept
		case f.Lost != nil:
			delete(known, place{f.Lost.Shuffle, f.Lost.Map})
		case f.Removed != "":
			maps.DeleteFunc(known, func(at place, _ output) bool { return at.shuffle == f.Removed })
		}
	}
	for _, at := range order {
		if o, ok := known[at]; ok && validIdentity(o.Shuffle) && o.Map >= 0 && o.Map < o.Maps {
			kept = append(kept, o)
			delete(known, at)
		}
	}
	return kept, true
}

// validIdentity keeps file names to what they may be.
func validIdentity(s string) bool {
	for _, c := range s {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return len(s) == 64
}
