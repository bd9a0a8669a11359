package sched

import (
	"cmp"
	"maps"
	"slices"

	"github.com/spark-go/spark-go/shuffle"
)

// Outputs is the map-output tracker: where the map outputs of every shuffle lie. It changes only inside Scheduler.Handle.
type Outputs struct {
	shuffles map[int]*shuffleOutputs
	epoch    int64
}

type shuffleOutputs struct {
	outputs []shuffle.Output // by map partition; of those that were forgotten rows and sum stay
	have    []bool
	known   []bool         // outputs has the rows and the sum of the last output that counted
	count   int            // of have
	on      map[string]int // outputs on each executor; what a loss can skip
}

func newOutputs() *Outputs { return &Outputs{shuffles: map[int]*shuffleOutputs{}} }

// Epoch grows whenever an output is forgotten: an executor that remembers outputs of an older epoch must ask again.
func (o *Outputs) Epoch() int64 { return o.epoch }

// Missing lists in ascending order the map partitions of a shuffle that have no registered output. It fits plan.Options.
func (o *Outputs) Missing(shuffle, maps int) []int {
	t := o.shuffles[shuffle]
	if t != nil && t.count == maps {
		return nil
	}
	missing := make([]int, 0, maps)
	for m := range maps {
		if t == nil || m >= len(t.have) || !t.have[m] {
			missing = append(missing, m)
		}
	}
	return missing
}

// Of returns the registered outputs of a shuffle in map order. The slice is a copy; the sizes in it are shared and read only.
func (o *Outputs) Of(id int) []shuffle.Output {
	t := o.shuffles[id]
	if t == nil {
		return nil
	}
	list := make([]shuffle.Output, 0, t.count)
	for m, have := range t.have {
		if have {
			list = append(list, t.outputs[m])
		}
	}
	return list
}

// Get returns a registered output.
func (o *Outputs) Get(id, m int) (shuffle.Output, bool) {
	if t := o.shuffles[id]; t != nil && m >= 0 && m < len(t.have) && t.have[m] {
		return t.outputs[m], true
	}
	return shuffle.Output{}, false
}

// preferredShare is the part of a reduce partition's input that a host must hold to be worth running there.
const preferredShare = 0.2

// Hosts lists the hosts that hold at least a fifth of the bytes of a reduce partition, the largest share first: where a task
// that reads it is best run. It looks at every map output of the shuffle.
func (o *Outputs) Hosts(id, reduce int) []string {
	t := o.shuffles[id]
	if t == nil {
		return nil
	}
	sizes := map[string]int64{}
	total := int64(0)
	for m, have := range t.have {
		if out := &t.outputs[m]; have && reduce >= 0 && reduce < len(out.Sizes) {
			sizes[out.Location.Host] += out.Sizes[reduce]
			total += out.Sizes[reduce]
		}
	}
	maps.DeleteFunc(sizes, func(host string, n int64) bool {
		return host == "" || n == 0 || float64(n) < preferredShare*float64(total)
	})
	return slices.SortedFunc(maps.Keys(sizes), func(a, b string) int { return cmp.Or(cmp.Compare(sizes[b], sizes[a]), cmp.Compare(a, b)) })
}

// complete says whether all of a shuffle's outputs are registered.
func (o *Outputs) complete(shuffle, maps int) bool {
	t := o.shuffles[shuffle]
	return maps == 0 || t != nil && t.count == maps
}

// has says whether a map output is registered.
func (o *Outputs) has(shuffle, m int) bool {
	t := o.shuffles[shuffle]
	return t != nil && t.have[m]
}

// Former returns the rows and the sum of the last output of a map task that counted, be it registered or forgotten by now. ok is false if there
// was none, or if nobody may know its rows any more, because what it was computed from is another by now.
func (o *Outputs) Former(id, m int) (out shuffle.Output, ok bool) {
	if t := o.shuffles[id]; t != nil && m >= 0 && m < len(t.known) && t.known[m] {
		return t.outputs[m], true
	}
	return shuffle.Output{}, false
}

// put registers the map output of a task, and tells whether its rows are others than those of the last one.
func (o *Outputs) put(id, maps, m int, out shuffle.Output) (changed bool) {
	former, ok := o.Former(id, m)
	o.register(id, maps, m, out)
	o.shuffles[id].known[m] = true
	return ok && out.Differs(&former)
}

// register notes where a map output of a shuffle with the given number of map partitions lies.
func (o *Outputs) register(id, maps, m int, out shuffle.Output) {
	t := o.shuffles[id]
	if t == nil {
		t = &shuffleOutputs{outputs: make([]shuffle.Output, maps), have: make([]bool, maps), known: make([]bool, maps), on: map[string]int{}}
		o.shuffles[id] = t
	}
	if t.have[m] {
		t.drop(m)
	}
	t.outputs[m], t.have[m] = out, true
	t.count++
	t.on[out.Location.Executor]++
}

func (t *shuffleOutputs) drop(m int) {
	executor := t.outputs[m].Location.Executor
	if t.on[executor]--; t.on[executor] == 0 {
		delete(t.on, executor)
	}
	t.outputs[m], t.have[m] = shuffle.Output{Rows: t.outputs[m].Rows, Sum: t.outputs[m].Sum}, false
	t.count--
}

// lost is the forgotten outputs of one shuffle.
type lost struct {
	shuffle int
	maps    []int
}

// dropOne forgets a map output if it lies on the given executor.
func (o *Outputs) dropOne(id, m int, executor string) []lost {
	t := o.shuffles[id]
	if t == nil || m < 0 || m >= len(t.have) || !t.have[m] || t.outputs[m].Location.Executor != executor {
		return nil
	}
	t.drop(m)
	o.epoch++
	return []lost{{id, []int{m}}}
}

// dropExecutor forgets all outputs on an executor.
func (o *Outputs) dropExecutor(executor string) []lost {
	return o.dropWhere(func(t *shuffleOutputs) bool { return t.on[executor] > 0 }, func(out *shuffle.Output) bool { return out.Location.Executor == executor })
}

// dropAll forgets all outputs of a shuffle.
func (o *Outputs) dropAll(id int) []lost {
	t := o.shuffles[id]
	return o.dropWhere(func(other *shuffleOutputs) bool { return other == t }, func(*shuffle.Output) bool { return true })
}

// void forgets all outputs of a shuffle, and what they held: those that are written next are not held against them.
func (o *Outputs) void(id int) []lost {
	if t := o.shuffles[id]; t != nil {
		clear(t.known)
	}
	return o.dropAll(id)
}

// dropHost forgets all outputs on a host.
func (o *Outputs) dropHost(host string) []lost {
	return o.dropWhere(func(*shuffleOutputs) bool { return true }, func(out *shuffle.Output) bool { return out.Location.Host == host })
}

func (o *Outputs) dropWhere(affected func(*shuffleOutputs) bool, match func(*shuffle.Output) bool) []lost {
	var all []lost
	for _, id := range slices.Sorted(maps.Keys(o.shuffles)) {
		t := o.shuffles[id]
		if !affected(t) {
			continue
		}
		var dropped []int
		for m, have := range t.have {
			if have && match(&t.outputs[m]) {
				t.drop(m)
				dropped = append(dropped, m)
			}
		}
		if dropped != nil {
			all = append(all, lost{id, dropped})
		}
	}
	if all != nil {
		o.epoch++
	}
	return all
}

// remove forgets a shuffle.
func (o *Outputs) remove(id int) { delete(o.shuffles, id) }
