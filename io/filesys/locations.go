package filesys

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
)

// Locator is an FS that knows which hosts store the bytes of its files.
type Locator interface {
	// Locations describes the blocks of a file that hold part of the range, in the order of their offsets.
	Locations(ctx context.Context, path string, offset, length int64) ([]Location, error)
}

// Location is a block of a file.
type Location struct {
	Offset, Length int64
	Hosts          []string // that store it, by the names the file system knows them under; the order says nothing
}

// Locations describes where the bytes of a file lie; nil where the file system does not know, as local disks and object stores.
func Locations(ctx context.Context, uri string, offset, length int64) ([]Location, error) {
	loc, err := parse(uri)
	if err != nil {
		return nil, err
	}
	fsys, err := loc.open(ctx)
	if err != nil {
		return nil, err
	}
	l, ok := fsys.(Locator)
	if !ok {
		return nil, nil
	}
	return l.Locations(ctx, loc.path, offset, length)
}

// Range is a part of a file.
type Range struct {
	URI            string
	Offset, Length int64
}

const (
	// locateBudget bounds what is spent on asking: files asked for later have no preferred hosts, which costs them a way through the network.
	locateBudget  = 3 * time.Second
	locateWorkers = 16
	// preferredHosts is how many hosts are named for a task, as many as Spark's.
	preferredHosts = 3
)

// PreferredHosts finds for each task, which reads some ranges of files, the up to three hosts that store most of them, the one with most bytes first. Nil
// stands for a task that may run anywhere. Where hosts cannot be found out, tasks run anywhere: nothing but their speed depends on it.
func PreferredHosts(ctx context.Context, tasks [][]Range) [][]string {
	whole := map[string]Range{} // what is read of each file
	var files []string
	for _, ranges := range tasks {
		for _, r := range ranges {
			w, known := whole[r.URI]
			if !known {
				if _, ok := locator(ctx, r.URI); !ok {
					continue
				}
				files = append(files, r.URI)
				w = r
			}
			end := max(w.Offset+w.Length, r.Offset+r.Length)
			w.Offset = min(w.Offset, r.Offset)
			w.Length = end - w.Offset
			whole[r.URI] = w
		}
	}
	hosts := make([][]string, len(tasks))
	if len(files) == 0 {
		return hosts
	}
	blocks := locate(ctx, files, whole)
	for i, ranges := range tasks {
		hosts[i] = mostBytes(ranges, blocks)
	}
	return hosts
}

// locator returns the file system of a URI if it is a Locator.
func locator(ctx context.Context, uri string) (Locator, bool) {
	fsys, _, err := Get(ctx, uri)
	if err != nil {
		return nil, false
	}
	l, ok := fsys.(Locator)
	return l, ok
}

// locate asks for the blocks of files, several at a time.
func locate(ctx context.Context, files []string, whole map[string]Range) map[string][]Location {
	ctx, cancel := context.WithTimeout(ctx, locateBudget)
	defer cancel()
	found := make([][]Location, len(files))
	next := make(chan int)
	var workers sync.WaitGroup
	for range min(locateWorkers, len(files)) {
		workers.Go(func() {
			for i := range next {
				r := whole[files[i]]
				blocks, err := Locations(ctx, r.URI, r.Offset, r.Length)
				if err != nil {
					slog.Debug("hosts of a file are not known", "file", r.URI, "error", err)
				}
				found[i] = blocks
			}
		})
	}
	for i := range files {
		if ctx.Err() != nil {
			break
		}
		next <- i
	}
	close(next)
	workers.Wait()
	blocks := make(map[string][]Location, len(files))
	for i, f := range files {
		blocks[f] = found[i]
	}
	return blocks
}

// mostBytes ranks hosts by the bytes of the ranges that they store.
func mostBytes(ranges []Range, blocks map[string][]Location) []string {
	bytes := map[string]int64{}
	for _, r := range ranges {
		for _, b := range blocks[r.URI] {
			n := min(b.Offset+b.Length, r.Offset+r.Length) - max(b.Offset, r.Offset)
			if n <= 0 {
				continue
			}
			for _, h := range b.Hosts {
				bytes[h] += n
			}
		}
	}
	var names []string
	for h := range bytes {
		names = append(names, h)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(bytes[b], bytes[a]), strings.Compare(a, b))
	})
	return names[:min(len(names), preferredHosts)]
}
