package sched

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spark-go/spark-go/driver/plan"
	"github.com/spark-go/spark-go/shuffle"
)

// TestSimulation plays random clusters against the scheduler: executors and hosts come, leave in order, die and die unnoticed, tasks fail, are
// slow, are reported late, twice or never, map tasks write other rows the second time, jobs share shuffles and are cancelled. After some time the trouble ends. Held against
// an independent model of the cluster:
//
//   - every job ends, and without trouble it succeeds;
//   - every wanted partition's result comes once, and only while its job runs;
//   - tasks are launched on live executors with free slots that are neither excluded nor decommissioned, and only if nothing that they read is known to be lost;
//   - the results of a job were computed from one output of each map task, be it directly or through others, unless it fails;
//   - a stage has one active attempt, and is submitted when all that it reads is registered;
//   - the scheduler's books agree with each other after every event.
//
// SPARK_GO_SEED=n plays that seed alone, with its events.
func TestSimulation(t *testing.T) {
	if seed, err := strconv.ParseUint(os.Getenv("SPARK_GO_SEED"), 10, 64); err == nil {
		sim := newSimulation(seed)
		err := sim.run()
		t.Logf("%s", strings.Join(sim.log, "\n"))
		if err != nil {
			t.Error(err)
		}
		return
	}
	var total tally
	for seed := range uint64(5000) {
		sim := newSimulation(seed)
		if err := sim.run(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		total.add(sim.tally)
	}
	// The faults must have happened, or the test shows nothing.
	for name, n := range map[string]int{
		"tasks": total.tasks, "failures": total.failures, "fetch failures": total.fetches, "lost executors": total.lost, "jobs that succeed": total.succeeded,
		"jobs that fail": total.failed, "results from zombies": total.zombies, "shared stages": total.shared, "second copies": total.speculative,
		"exclusions": total.excluded, "commits denied": total.denied, "barriers passed": total.barriers, "barrier stages that succeed": total.gangs,
		"barrier stages that run again": total.disbanded, "moved outputs": total.moved, "map tasks that write other rows": total.changed,
		"shuffles that are rolled back": total.rolledBack, "attempts that are rolled back": total.ended, "jobs that cannot be rolled back": total.broken,
		"successes that come too late": total.late,
	} {
		if n < 20 {
			t.Errorf("only %d %s in all simulations", n, name)
		}
	}
	t.Logf("%+v", total)
}

type tally struct {
	tasks, failures, fetches, lost, succeeded, failed, zombies, shared, speculative, excluded, denied, barriers, gangs, disbanded, moved int

	changed, rolledBack, ended, broken, late int
}

func (a *tally) add(b tally) {
	a.tasks += b.tasks
	a.failures += b.failures
	a.fetches += b.fetches
	a.lost += b.lost
	a.succeeded += b.succeeded
	a.failed += b.failed
	a.zombies += b.zombies
	a.shared += b.shared
	a.speculative += b.speculative
	a.excluded += b.excluded
	a.denied += b.denied
	a.barriers += b.barriers
	a.gangs += b.gangs
	a.disbanded += b.disbanded
	a.moved += b.moved
	a.changed += b.changed
	a.rolledBack += b.rolledBack
	a.ended += b.ended
	a.broken += b.broken
	a.late += b.late
}

// simNode is a dataset of a random lineage.
type simNode struct {
	id, partitions int
	edges          []plan.Edge
	barrier        bool
}

func (n *simNode) Barrier() bool { return n.barrier }

func (n *simNode) ID() int            { return n.id }
func (n *simNode) Partitions() int    { return n.partitions }
func (n *simNode) Edges() []plan.Edge { return n.edges }
func (n *simNode) String() string     { return fmt.Sprintf("d%d", n.id) }

type simExecutor struct {
	name, host string
	slots      int
	running    map[TaskID]bool
}

type simTask struct {
	LaunchTask
	stage *plan.Stage
	reads map[int][]shuffle.Output // what the driver told the attempt about each shuffle it may read

	passed            int // barriers
	atBarrier, killed bool
}

// rounds is how many barriers each task of a stage comes to.
func (t *simTask) rounds() int {
	if !t.stage.Barrier {
		return 0
	}
	return 1 + t.stage.ID%2
}

type simJob struct {
	wanted map[int]bool // false once the result came
	left   int
	from   origins // of the results that came
}

// simRows is what a task made: a sum of its rows, and what they were computed from.
type simRows struct {
	partition int
	sum       uint32
	from      origins
}

// origins are the rows of map outputs, by shuffle and map task, that something was computed from; nil if two outputs of one map task are among them.
type origins map[[2]int]uint32

// mixed says that a is what came of two outputs of one map task.
func (a origins) mixed() bool { return a == nil }

// and joins what two things were computed from.
func (a origins) and(b origins) origins {
	if a.mixed() || b.mixed() {
		return nil
	}
	if len(a) == 0 || len(b) == 0 {
		if len(a) == 0 {
			return b
		}
		return a
	}
	all := maps.Clone(a)
	for k, sum := range b {
		if had, ok := all[k]; ok && had != sum {
			return nil
		}
		all[k] = sum
	}
	return all
}

// simulation is the model of one random cluster.
type simulation struct {
	seed    uint64
	rng     *rand.Rand
	s       *Scheduler
	set     Settings
	now     time.Time
	chaos   bool // trouble goes on
	trouble bool // this seed has trouble at all
	log     []string

	nodes     []*simNode // the last is read by nobody yet
	cached    map[int]bool
	executors map[string]*simExecutor
	servers   map[string]bool // that still serve map outputs
	leaving   map[string]bool // decommissioned executors
	next      int             // executor names
	tasks     map[TaskID]*simTask
	old       []TaskFinished // reports to repeat
	active    map[int]int    // attempt of each stage
	reads     map[[2]int]map[int][]shuffle.Output
	jobs      map[int]*simJob
	nextJob   int
	nextStage int
	commits   map[[2]int]TaskID
	excluded  map[string]time.Time // until when executors get no tasks
	tally     tally

	gangs    map[[2]int]int // by stage and attempt: how many tasks are launched together
	launched map[[2]int]int // by the same, in the current event
	accepted map[[2]int]int

	changing map[int]bool // shuffles whose map tasks may write other rows each time
	changes  *rand.Rand
	made     map[int64]*simRows // map outputs, by attempt
}

func newSimulation(seed uint64) *simulation {
	rng := rand.New(rand.NewPCG(seed, 1))
	sim := &simulation{
		seed: seed, rng: rng, set: Defaults(), now: time.Unix(1e9, 0), chaos: true, trouble: seed%8 != 0,
		cached: map[int]bool{}, executors: map[string]*simExecutor{}, servers: map[string]bool{}, leaving: map[string]bool{}, tasks: map[TaskID]*simTask{},
		active: map[int]int{}, reads: map[[2]int]map[int][]shuffle.Output{}, jobs: map[int]*simJob{}, commits: map[[2]int]TaskID{},
		excluded: map[string]time.Time{}, gangs: map[[2]int]int{}, changing: map[int]bool{}, changes: rand.New(rand.NewPCG(seed, 3)), made: map[int64]*simRows{},
	}
	barriers := rand.New(rand.NewPCG(seed, 2))
	if rng.IntN(2) == 0 {
		sim.set.Mode = FAIR
		sim.set.Pools = []PoolSpec{{Name: "a", Weight: 2, MinShare: 1}, {Name: "b", Weight: 1, Mode: FAIR}}
	}
	sim.set.CPUs = 1 + rng.IntN(2)
	sim.set.Speculation.Enabled = rng.IntN(2) == 0
	sim.set.Speculation.Quantile = 0.5
	if barriers.IntN(2) == 0 {
		sim.set.Speculation.Threshold, sim.set.Speculation.Slots = 500*time.Millisecond, 3
	}
	sim.set.Exclusion.Enabled = rng.IntN(3) == 0
	if sim.trouble {
		sim.set.Barrier.Timeout = 2 * time.Second
	}
	sim.s = New(sim.set)
	for i := range 2 + rng.IntN(6) {
		n := &simNode{id: i, partitions: 1 + rng.IntN(6)}
		for _, p := range sim.nodes {
			switch rng.IntN(4) {
			case 0:
				n.edges = append(n.edges, plan.Edge{Parent: p, Wide: true, Shuffle: p.id})
			case 1:
				n.edges = append(n.edges, plan.Edge{Parent: p})
			}
		}
		sim.cached[i] = rng.IntN(6) == 0
		n.barrier = seed%3 == 0 && barriers.IntN(3) == 0
		sim.changing[i] = seed%2 == 1 && sim.changes.IntN(3) == 0
		sim.nodes = append(sim.nodes, n)
	}
	return sim
}

func (sim *simulation) run() error {
	for range 1 + sim.rng.IntN(4) {
		if err := sim.addExecutor(); err != nil {
			return err
		}
	}
	for range 1 + sim.rng.IntN(3) {
		if err := sim.submit(); err != nil {
			return err
		}
	}
	for range 40 + sim.rng.IntN(80) {
		if err := sim.step(); err != nil {
			return err
		}
	}
	sim.chaos = false
	if err := sim.addExecutor(); err != nil {
		return err
	}
	for n := 0; len(sim.jobs) > 0; n++ {
		if n > 3000 {
			return fmt.Errorf("jobs %v do not end", slices.Sorted(maps.Keys(sim.jobs)))
		}
		if err := sim.settle(); err != nil {
			return err
		}
	}
	for len(sim.tasks) > 0 { // the killed ones
		if err := sim.settle(); err != nil {
			return err
		}
	}
	s := sim.s
	if n := len(s.byShuffle) + len(s.sets) + len(s.tasks) + len(s.commits) + len(s.stale) + len(s.resubmit) + len(s.gangs) + len(s.held) + s.pending; n > 0 || s.reserved != nil {
		return fmt.Errorf("all jobs have ended, and %d stages, %d task sets, %d tasks, %d commits, %d pending are on the books",
			len(s.byShuffle), len(s.sets), len(s.tasks), len(s.commits), s.pending)
	}
	return nil
}

// step does one random thing.
func (sim *simulation) step() error {
	sim.now = sim.now.Add(time.Duration(sim.rng.IntN(400)) * time.Millisecond)
	r := sim.rng.IntN(100)
	switch {
	case r < 60 && len(sim.tasks) > 0:
		return sim.finish(sim.someTask())
	case r < 66:
		return sim.tick()
	case r < 70:
		return sim.submit()
	case !sim.trouble:
		return sim.tick()
	case r < 74:
		return sim.addExecutor()
	case r < 79:
		return sim.lose()
	case r < 82: // a server dies and nobody notices
		if names := slices.Sorted(maps.Keys(sim.servers)); len(names) > 0 {
			sim.servers[names[sim.rng.IntN(len(names))]] = false
		}
	case r < 84:
		if jobs := slices.Sorted(maps.Keys(sim.jobs)); len(jobs) > 0 && sim.rng.IntN(4) == 0 {
			return sim.handle(JobCancelled{Job: jobs[sim.rng.IntN(len(jobs))], Reason: "chance"})
		}
	case r < 88 && len(sim.old) > 0:
		return sim.handle(sim.old[sim.rng.IntN(len(sim.old))])
	case r < 92 && len(sim.tasks) > 0:
		return sim.handle(CommitAsked{Task: sim.someTask()})
	case r < 94:
		hosts := map[string]bool{}
		for _, x := range sim.executors {
			hosts[x.host] = true
		}
		if len(hosts) > 1 && sim.rng.IntN(3) == 0 {
			host := slices.Sorted(maps.Keys(hosts))[0]
			for _, name := range slices.Sorted(maps.Keys(sim.servers)) {
				if strings.HasSuffix(name, "@"+host) {
					sim.kill(name)
					sim.servers[name] = false
				}
			}
			return sim.handle(HostLost{Host: host, Reason: errors.New("host lost")})
		}
	case r < 97 && len(sim.executors) > 0:
		names := slices.Sorted(maps.Keys(sim.executors))
		return sim.decommission(names[sim.rng.IntN(len(names))])
	default:
		return sim.handle(Tick{})
	}
	return nil
}

// decommission has an executor leave, or, if it leaves already, moves a map output away from its host.
func (sim *simulation) decommission(name string) error {
	if !sim.leaving[name] {
		sim.leaving[name] = true
		return sim.handle(ExecutorDecommissioned{Executor: name})
	}
	outputs := sim.s.OutputsOn(sim.executors[name].host)
	takers := slices.DeleteFunc(slices.Sorted(maps.Keys(sim.servers)), func(n string) bool { return sim.leaving[n] || !sim.servers[n] })
	if len(outputs) == 0 || len(takers) == 0 {
		return nil
	}
	sim.tally.moved++
	o, to := outputs[sim.rng.IntN(len(outputs))], takers[sim.rng.IntN(len(takers))]
	_, host, _ := strings.Cut(to, "@")
	o.Location = shuffle.Location{Executor: to, Host: host}
	return sim.handle(OutputMoved{From: name, Shuffle: o.Shuffle, Output: o.Output})
}

// settle ends what is under way without further trouble.
func (sim *simulation) settle() error {
	for _, id := range slices.Sorted(maps.Keys(sim.tasks)) {
		if t := sim.tasks[id]; !t.atBarrier || t.killed {
			return sim.finish(id)
		}
	}
	if len(sim.tasks) > 0 {
		return errors.New("all running tasks wait at barriers")
	}
	if len(sim.executors) == 0 || sim.set.Exclusion.Enabled && sim.rng.IntN(10) == 0 {
		if err := sim.addExecutor(); err != nil {
			return err
		}
	}
	return sim.tick()
}

// tick goes on to when the scheduler wants to be woken.
func (sim *simulation) tick() error {
	at, ok := sim.s.Deadline()
	if !ok {
		if len(sim.jobs) > 0 && len(sim.tasks) == 0 {
			return errors.New("jobs are under way, nothing runs, and no tick is due")
		}
		return nil
	}
	if at.After(sim.now) && (sim.trouble || at.Sub(sim.now) < 24*time.Hour) { // else all wait for what is about to come to a barrier
		sim.now = at
	}
	if sim.set.Speculation.Enabled {
		p := Progress{}
		for _, id := range slices.Sorted(maps.Keys(sim.tasks)) {
			p.Tasks = append(p.Tasks, TaskProgress{Task: id, Rows: int64(id%7) * 100})
		}
		if err := sim.handle(p); err != nil {
			return err
		}
	}
	return sim.handle(Tick{})
}

func (sim *simulation) someTask() TaskID {
	ids := slices.Sorted(maps.Keys(sim.tasks))
	return ids[sim.rng.IntN(len(ids))]
}

func (sim *simulation) addExecutor() error {
	host := fmt.Sprintf("h%d", sim.rng.IntN(3))
	x := &simExecutor{name: fmt.Sprintf("e%d@%s", sim.next, host), host: host, running: map[TaskID]bool{}}
	cores := sim.set.CPUs * (1 + sim.rng.IntN(3))
	x.slots = cores / sim.set.CPUs
	sim.next++
	sim.executors[x.name] = x
	sim.servers[x.name] = true
	return sim.handle(ExecutorAdded{Executor: x.name, Host: host, Cores: cores})
}

// kill ends an executor's process in the model.
func (sim *simulation) kill(name string) {
	if x := sim.executors[name]; x != nil {
		sim.tally.lost++
		for id := range x.running {
			delete(sim.tasks, id)
		}
		delete(sim.executors, name)
	}
}

func (sim *simulation) lose() error {
	names := slices.Sorted(maps.Keys(sim.servers))
	if len(names) == 0 {
		return nil
	}
	name := names[sim.rng.IntN(len(names))]
	event := ExecutorLost{Executor: name, Reason: errors.New("exit status 42"), OutputsLost: sim.rng.IntN(2) == 0, Fault: sim.rng.IntN(2) == 0}
	sim.kill(name)
	if event.OutputsLost {
		sim.servers[name] = false
	}
	return sim.handle(event)
}

func (sim *simulation) submit() error {
	target := sim.nodes[sim.rng.IntN(len(sim.nodes))]
	opts := plan.Options{First: sim.nextStage, Missing: sim.s.Outputs().Missing}
	opts.Cached = func(n plan.Node) bool { return sim.cached[n.ID()] }
	if sim.rng.IntN(4) == 0 {
		opts.Partitions = []int{sim.rng.IntN(target.partitions)}
	}
	p := plan.New(target, opts)
	if p.Result().Barrier && opts.Partitions != nil {
		opts.Partitions = nil // as the driver has it
		p = plan.New(target, opts)
	}
	sim.nextStage += len(p.Stages)
	for _, st := range p.Stages {
		if st.Shuffle != plan.Result && sim.s.byShuffle[st.Shuffle] != nil {
			sim.tally.shared++
		}
	}
	j := &simJob{wanted: map[int]bool{}, from: origins{}}
	for part := range target.partitions {
		if opts.Partitions == nil || slices.Contains(opts.Partitions, part) {
			j.wanted[part] = true
		}
	}
	j.left = len(j.wanted)
	id := sim.nextJob
	sim.nextJob++
	sim.jobs[id] = j
	event := JobSubmitted{Job: id, Plan: p, Pool: []string{"", "a", "b", "c"}[sim.rng.IntN(4)], Priority: sim.rng.IntN(2)}
	if sim.rng.IntN(2) == 0 {
		salt := sim.rng.IntN(100)
		event.Prefer = func(st *plan.Stage, part int) []Place {
			switch k := (st.ID*7 + part*3 + salt) % 5; k {
			case 0:
				return []Place{{Host: fmt.Sprintf("h%d", salt%4)}}
			case 1, 2:
				return []Place{{Executor: fmt.Sprintf("e%d@h%d", salt%5, k), Host: fmt.Sprintf("h%d", k)}, {Executor: "e0@h0"}, {Executor: "e1@h1"}}
			}
			return nil
		}
	}
	return sim.handle(event)
}

// finish reports the end of a task, as trouble and the state of what it reads will have it.
func (sim *simulation) finish(id TaskID) error {
	t := sim.tasks[id]
	report := TaskFinished{Task: id, Err: errors.New("trouble")}
	r := sim.rng.IntN(100)
	if !sim.chaos || !sim.trouble {
		r = 99
	}
	if t.passed < t.rounds() && !t.killed && r >= 6 {
		if t.atBarrier {
			return nil
		}
		t.atBarrier = true
		return sim.handle(BarrierReached{Task: id, Round: t.passed, Gather: t.passed == 1, Message: []byte(strconv.Itoa(t.Partition))})
	}
	switch {
	case t.atBarrier && t.killed:
		report.Outcome = Killed
	case r < 12:
		report.Outcome = Failed
		sim.tally.failures++
	case r < 15:
		report.Outcome = Killed
	case r < 18:
		report.Outcome = CommitDenied
	default:
		report = sim.result(t)
	}
	delete(sim.tasks, id)
	delete(sim.executors[t.Executor].running, id)
	if holder, ok := sim.commits[[2]int{t.Stage, t.Partition}]; ok && holder == id && report.Outcome != Succeeded {
		delete(sim.commits, [2]int{t.Stage, t.Partition})
	}
	sim.old = append(sim.old, report)
	return sim.handle(report)
}

// result reads what the task reads, and fails where that is gone.
func (sim *simulation) result(t *simTask) TaskFinished {
	for _, id := range slices.Sorted(maps.Keys(t.reads)) {
		behind := t.reads[id] == nil // behind a cached dataset, and not there when the attempt was submitted
		if behind {
			if sim.chaos && sim.trouble && sim.rng.IntN(10) == 0 { // and now the cached block is lost
				sim.tally.fetches++
				return TaskFinished{Task: t.Task, Outcome: FetchFailed, Err: errors.New("no outputs known"), Fetch: FetchFailure{Shuffle: id, Map: -1}}
			}
			continue
		}
		for m, out := range t.reads[id] {
			if !sim.servers[out.Location.Executor] {
				sim.tally.fetches++
				return TaskFinished{
					Task: t.Task, Outcome: FetchFailed, Err: errors.New("connection refused"),
					Fetch: FetchFailure{Shuffle: id, Map: m, Executor: out.Location.Executor, ServerLost: sim.rng.IntN(2) == 0, Decommissioned: sim.rng.IntN(2) == 0},
				}
			}
		}
	}
	rows := sim.compute(t)
	report := TaskFinished{Task: t.Task, Outcome: Succeeded, Value: rows, Rows: int64(t.Task%5) * 100}
	if t.stage.Shuffle != plan.Result {
		sim.made[int64(t.Task)] = rows
		report.Output = &shuffle.Output{
			Map: t.Partition, Attempt: int64(t.Task), Sum: shuffle.Sum{Content: rows.sum},
			Location: shuffle.Location{Executor: t.Executor, Host: sim.executors[t.Executor].host},
		}
	}
	return report
}

// compute is what a task makes of what it reads. The sum does not tell what that was: the scheduler must know.
func (sim *simulation) compute(t *simTask) *simRows {
	rows := &simRows{partition: t.Partition, from: origins{}}
	for _, id := range slices.Sorted(maps.Keys(t.reads)) {
		for _, out := range t.reads[id] {
			rows.from = rows.from.and(sim.made[out.Attempt].from)
		}
	}
	if id := t.stage.Shuffle; sim.changing[id] {
		if sim.changes.IntN(2) == 0 {
			rows.sum = uint32(t.Task) + 1
		}
		rows.from = rows.from.and(origins{{id, t.Partition}: rows.sum})
	}
	return rows
}

// stageOf finds the scheduler's state of a stage that has just been submitted.
func (sim *simulation) stageOf(ps *plan.Stage) *stage {
	for _, j := range sim.s.jobs {
		for _, st := range j.stages {
			if st.Stage == ps {
				return st
			}
		}
	}
	return &stage{Stage: ps}
}
