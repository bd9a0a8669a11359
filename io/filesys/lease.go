package filesys

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A job announces itself in its output directory by a marker that names its process, and renews it while it is alive. The marker is the
// first thing that a job writes there and the last that is removed.

const (
	markerFormat = "spark-go job"
	leaseBeat    = 15 * time.Second
	leaseExpiry  = 2 * time.Minute
)

// marker is the content of _temporary/ID/job.json.
type marker struct {
	Format string `json:"format"`
	ID     string `json:"job"`
	Host   string `json:"host"`
	Boot   string `json:"boot"` // of the machine and its process numbers
	PID    int    `json:"pid"`
	Start  string `json:"start"` // of the process, in units of the system
}

var thisProcess = sync.OnceValue(func() marker {
	m := marker{Format: markerFormat, PID: os.Getpid(), Start: processStart(os.Getpid())}
	m.Host, _ = os.Hostname()
	boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id") // Linux
	space, _ := os.Readlink("/proc/self/ns/pid")
	m.Boot = strings.TrimSpace(string(boot)) + space
	return m
})

// processStart tells a process from a later one with the same number; empty where that is not known.
func processStart(pid int) string {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return ""
	}
	// The name in brackets may hold anything; the 20th field after it is the start.
	_, rest, _ := strings.Cut(string(text[strings.LastIndexByte(string(text), ')')+1:]), " ")
	fields := strings.Fields(rest)
	if len(fields) < 20 {
		return ""
	}
	return fields[19]
}

// dead says whether the job's process is certainly gone, and whether that can be known here at all.
func (m marker) dead() (dead, known bool) {
	me := thisProcess()
	if m.Host != me.Host || m.Boot != me.Boot {
		return false, false
	}
	if m.PID == me.PID && m.Start == me.Start {
		leases.Lock()
		defer leases.Unlock()
		return leases.held[m.ID] == nil, true
	}
	p, err := os.FindProcess(m.PID)
	if err != nil {
		return true, true
	}
	if err := p.Signal(syscall.Signal(0)); errors.Is(err, os.ErrProcessDone) || errors.Is(err, syscall.ESRCH) {
		return true, true
	}
	if start := processStart(m.PID); start != "" && start != m.Start {
		return true, true
	}
	return false, true
}

// leases are the jobs of this process that are alive.
var leases = struct {
	sync.Mutex
	held map[string]*lease
}{held: map[string]*lease{}}

type lease struct {
	mu    sync.Mutex
	ended bool
	timer *time.Timer
}

// announce writes the job's marker and renews it until endLease. It fails if another job is alive in the directory.
func (d outputDir) announce(ctx context.Context, id string) error {
	m := thisProcess()
	m.ID = id
	text, _ := json.Marshal(m) // strings and numbers only: cannot fail
	text = append(text, '\n')
	l := &lease{}
	l.timer = time.AfterFunc(leaseBeat, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.ended {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), leaseExpiry)
		defer cancel()
		if err := d.renew(ctx, id, text); err != nil {
			slog.Warn("a job cannot show that it is alive", "output", d.uri, "error", err)
		}
		l.timer.Reset(leaseBeat)
	})
	leases.Lock()
	leases.held[id] = l
	leases.Unlock()
	err := d.put(ctx, d.temporary(id, markerFile), text)
	if err == nil {
		// Of two jobs that began at the same time each sees the other, or one of them does.
		err = d.others(ctx, id)
	}
	if err != nil {
		endLease(id)
		return errors.Join(err, d.removeJob(context.WithoutCancel(ctx), id))
	}
	return nil
}

// renew writes the marker again, unless another job has removed it.
func (d outputDir) renew(ctx context.Context, id string, text []byte) error {
	p := d.temporary(id, markerFile)
	if _, err := d.fsys.Stat(ctx, p); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return ErrTakenOver
		}
		return err
	}
	return d.put(ctx, p, text)
}

// endLease stops renewing. When it returns, nothing writes the marker any more.
func endLease(id string) {
	leases.Lock()
	l := leases.held[id]
	delete(leases.held, id)
	leases.Unlock()
	if l == nil {
		return
	}
	l.mu.Lock()
	l.ended = true
	l.timer.Stop()
	l.mu.Unlock()
}

// others fails if a job other than id is alive in the directory.
func (d outputDir) others(ctx context.Context, id string) error {
	jobs, err := d.jobs(ctx)
	if err != nil {
		return err
	}
	for _, j := range jobs {
		if j.id == id {
			continue
		}
		if err := d.alive(ctx, j); err != nil {
			return err
		}
	}
	return nil
}

// leftJob is a directory below _temporary that a job of ours made.
type leftJob struct {
	id     string
	marker *marker // nil if there is none: the job had hardly begun, or was just being removed
	seen   time.Time
}

// jobs lists the jobs in a directory.
func (d outputDir) jobs(ctx context.Context) ([]leftJob, error) {
	children, err := d.fsys.List(ctx, d.temporary())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var jobs []leftJob
	for _, c := range children {
		if !c.IsDir || !isID(c.Name()) {
			continue
		}
		j := leftJob{id: c.Name()}
		p := d.temporary(j.id, markerFile)
		text, err := d.read(ctx, p)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if err == nil {
			var m marker
			if err := json.Unmarshal(text, &m); err != nil || m.Format != markerFormat || m.ID != j.id {
				return nil, fmt.Errorf("%s is not what a job of spark-go writes: remove it, if nothing needs it", p)
			}
			info, err := d.fsys.Stat(ctx, p)
			if errors.Is(err, fs.ErrNotExist) {
				continue // it just ended
			}
			if err != nil {
				return nil, err
			}
			j.marker, j.seen = &m, info.ModTime
		}
		jobs = append(jobs, j)
	}
	return jobs, nil
}

// isID says whether a name is that of a job: 16 hexadecimal digits.
func isID(name string) bool {
	return len(name) == 16 && strings.Trim(name, "0123456789abcdef") == ""
}

// alive is an error that says where a job runs; nil if it is dead.
func (d outputDir) alive(ctx context.Context, j leftJob) error {
	if j.marker == nil {
		return nil
	}
	dead, known := j.marker.dead()
	if dead {
		return nil
	}
	busy := fmt.Errorf("%w: process %d on %s (job %s): wait for its end, or stop it", ErrBusy, j.marker.PID, j.marker.Host, j.id)
	if known {
		return busy
	}
	now, err := d.now(ctx)
	if err != nil {
		return err
	}
	if age := now.Sub(j.seen); age < leaseExpiry {
		return fmt.Errorf("%w; a dead one counts as such %v after its last sign of life, which was %v ago", busy, leaseExpiry, age.Round(time.Second))
	}
	return nil
}

// now is the time by the clock of the file system, which markers are dated by.
func (d outputDir) now(ctx context.Context) (time.Time, error) {
	p := d.temporary(scratchPrefix + newID())
	if err := d.put(ctx, p, nil); err != nil {
		return time.Time{}, err
	}
	info, err := d.fsys.Stat(ctx, p)
	return info.ModTime, errors.Join(err, d.remove(ctx, p))
}
