package budget_test

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"
)

// resident is the resident memory of a process in bytes, by what backs it. Anon is what the process itself fills: the Go heap, stacks
// and the runtime's own tables. File is mapped from files, which here is the executable alone: it is shared with the host and the driver,
// which run the same file, and the kernel takes it back when it needs room. Pages of files that are read and written belong to the
// kernel's cache and to no process.
type resident struct{ Anon, File int64 }

// residentOf reads /proc/PID/statm: pages in all, resident, resident from files.
func residentOf(pid int) (resident, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return resident{}, err
	}
	f := bytes.Fields(b)
	if len(f) < 3 {
		return resident{}, fmt.Errorf("read /proc/%d/statm: %q", pid, b)
	}
	all, err := strconv.ParseInt(string(f[1]), 10, 64)
	if err != nil {
		return resident{}, err
	}
	file, err := strconv.ParseInt(string(f[2]), 10, 64)
	page := int64(os.Getpagesize())
	return resident{Anon: (all - file) * page, File: file * page}, err
}

// watch samples a process every 10 ms until it ends or stop is called, which returns the most it held, how often it was looked at and
// whether it was still there.
func watch(pid int) (stop func() (most resident, samples int, alive bool)) {
	var most resident
	samples, alive := 0, true
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			r, err := residentOf(pid)
			if err != nil {
				alive = false
				return
			}
			samples++
			most.Anon, most.File = max(most.Anon, r.Anon), max(most.File, r.File)
			select {
			case <-done:
				return
			case <-tick.C:
			}
		}
	})
	return func() (resident, int, bool) {
		close(done)
		wg.Wait()
		return most, samples, alive
	}
}
