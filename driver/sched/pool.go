package sched

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Mode is an order among jobs.
type Mode uint8

// FIFO gives slots to the earliest job first; FAIR shares them.
const (
	FIFO Mode = iota
	FAIR
)

func (m Mode) String() string {
	if m == FAIR {
		return "FAIR"
	}
	return "FIFO"
}

// DefaultPool is the pool of jobs that name none.
const DefaultPool = "default"

// PoolSpec describes a pool of jobs under FAIR. Pools that are not described have weight 1, no minimum and FIFO inside.
type PoolSpec struct {
	Name     string
	Mode     Mode // among the jobs of the pool
	Weight   int  // its share of slots relative to other pools; default 1
	MinShare int  // slots it gets before shares count; default 0
}

// ParsePools reads an allocation file in the format of Spark's fairscheduler.xml.
func ParsePools(r io.Reader) ([]PoolSpec, error) {
	var file struct {
		Pools []struct {
			Name     string  `xml:"name,attr"`
			Mode     *string `xml:"schedulingMode"`
			Weight   *int    `xml:"weight"`
			MinShare *int    `xml:"minShare"`
		} `xml:"pool"`
	}
	if err := xml.NewDecoder(r).Decode(&file); err != nil {
		return nil, fmt.Errorf("read fair scheduler pools: %w", err)
	}
	var pools []PoolSpec
	seen := map[string]bool{}
	for _, p := range file.Pools {
		spec := PoolSpec{Name: p.Name, Weight: 1}
		if p.Name == "" || seen[p.Name] {
			return nil, fmt.Errorf("read fair scheduler pools: pool %q: names must be given and differ", p.Name)
		}
		seen[p.Name] = true
		if p.Mode != nil {
			switch mode := strings.ToUpper(strings.TrimSpace(*p.Mode)); mode {
			case "FIFO":
			case "FAIR":
				spec.Mode = FAIR
			default:
				return nil, fmt.Errorf("read fair scheduler pools: pool %q: schedulingMode %q is neither FIFO nor FAIR", p.Name, *p.Mode)
			}
		}
		if p.Weight != nil {
			spec.Weight = *p.Weight
		}
		if p.MinShare != nil {
			spec.MinShare = *p.MinShare
		}
		if spec.Weight < 1 || spec.MinShare < 0 {
			return nil, fmt.Errorf("read fair scheduler pools: pool %q: weight %d and minShare %d must be at least 1 and 0", p.Name, spec.Weight, spec.MinShare)
		}
		pools = append(pools, spec)
	}
	return pools, nil
}

// pool orders the task sets that want slots.
type pool struct {
	PoolSpec
	running int
	queue   []*taskSet // those that want slots, in FIFO order
}

// poolFor finds a job's pool, or makes it. Under FIFO there is one.
func (s *Scheduler) poolFor(name string) *pool {
	if s.set.Mode == FIFO {
		name = ""
	} else if name == "" {
		name = DefaultPool
	}
	i, ok := slices.BinarySearchFunc(s.pools, name, func(p *pool, name string) int { return strings.Compare(p.Name, name) })
	if !ok {
		s.pools = slices.Insert(s.pools, i, &pool{PoolSpec: PoolSpec{Name: name, Weight: 1}})
	}
	return s.pools[i]
}

// byAge orders task sets as FIFO does: by the job's priority, then the job, then the stage.
func byAge(a, b *taskSet) int {
	return cmp.Or(cmp.Compare(b.stage.priority, a.stage.priority), cmp.Compare(a.stage.firstJob, b.stage.firstJob), cmp.Compare(a.stage.ID, b.stage.ID))
}

// enqueue makes a set ask for slots.
func (s *Scheduler) enqueue(ts *taskSet) {
	if ts.gang != nil {
		return // it is offered all slots or none
	}
	s.markDirty(ts)
	if ts.queued {
		return
	}
	ts.queued = true
	i, _ := slices.BinarySearchFunc(ts.pool.queue, ts, byAge)
	ts.pool.queue = slices.Insert(ts.pool.queue, i, ts)
}

// dequeueIfIdle takes a set that wants no more slots off the queue.
func (s *Scheduler) dequeueIfIdle(ts *taskSet) {
	if ts.queued && ts.pending == 0 && len(ts.spec) == 0 {
		s.dequeue(ts)
	}
}

func (s *Scheduler) dequeue(ts *taskSet) {
	if !ts.queued {
		return
	}
	ts.queued = false
	i, _ := slices.BinarySearchFunc(ts.pool.queue, ts, byAge)
	ts.pool.queue = slices.Delete(ts.pool.queue, i, i+1)
}

// fairer compares two claims on slots as Spark's FAIR does: those below their minimum share first, the relatively poorest of
// them; then by running tasks relative to weight.
func fairer(runningA, minA, weightA, runningB, minB, weightB int) int {
	needyA, needyB := runningA < minA, runningB < minB
	switch {
	case needyA && !needyB:
		return -1
	case needyB && !needyA:
		return 1
	case needyA:
		return cmp.Compare(runningA*max(minB, 1), runningB*max(minA, 1))
	}
	return cmp.Compare(runningA*weightB, runningB*weightA)
}

func fairerPool(a, b *pool) int {
	return cmp.Or(fairer(a.running, a.MinShare, a.Weight, b.running, b.MinShare, b.Weight), strings.Compare(a.Name, b.Name))
}

func fairerSet(a, b *taskSet) int {
	return cmp.Or(cmp.Compare(len(a.running), len(b.running)), byAge(a, b))
}

// eachInTurn calls f with the sets that want slots, in the order in which they have a claim, until it returns true.
func (s *Scheduler) eachInTurn(f func(*taskSet) bool) bool {
	s.poolScratch = s.poolScratch[:0]
	for _, p := range s.pools {
		if len(p.queue) > 0 {
			s.poolScratch = append(s.poolScratch, p)
		}
	}
	return inOrder(s.poolScratch, fairerPool, func(p *pool) bool {
		if p.Mode == FIFO {
			for i := 0; i < len(p.queue); {
				ts := p.queue[i]
				if f(ts) {
					return true
				}
				if i < len(p.queue) && p.queue[i] == ts { // else it found that it wants nothing and left
					i++
				}
			}
			return false
		}
		s.setScratch = append(s.setScratch[:0], p.queue...)
		return inOrder(s.setScratch, fairerSet, f)
	})
}

// inOrder calls f with the elements from least to greatest until it returns true. Mostly the first call does: it is found
// without sorting. The list is reordered.
func inOrder[T any](list []T, compare func(a, b T) int, f func(T) bool) bool {
	if len(list) == 0 {
		return false
	}
	least := 0
	for i := range list {
		if compare(list[i], list[least]) < 0 {
			least = i
		}
	}
	list[0], list[least] = list[least], list[0]
	if f(list[0]) {
		return true
	}
	slices.SortFunc(list[1:], compare)
	return slices.ContainsFunc(list[1:], f)
}
