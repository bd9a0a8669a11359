package driver

import (
	"context"
	"flag"
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spark-go/spark-go/driver/cluster"
	"github.com/spark-go/spark-go/driver/conf"
	"github.com/spark-go/spark-go/driver/sched"
	"github.com/spark-go/spark-go/executor/protocol"
	"github.com/spark-go/spark-go/rdd"
)

var (
	simSeeds = flag.Int("simulations", 0, "how many clusters TestSimulatedCluster simulates; 0 means 300, with SPARK_GO_SLOW=1 10,000")
	simFirst = flag.Uint64("simulation", 0, "the seed of the first one")
)

// simRegressions are seeds that once failed. What a seed plays changes with the simulation: they are a sample of hard cases, and what was
// found has a test of its own (TestMapOutputsBehindACacheAreLost).
var simRegressions = []uint64{
	4,    // map outputs behind a cache were read in part
	1316, // a stage's program was removed before tasks of the same round were launched
}

// TestSimulatedCluster runs whole clusters on a virtual clock and network, each from one seed: the driver's loop, scheduler, map-output
// tracking and roster of executors are the real ones; hosts, job processes, tasks and the network are modelled. Several jobs at a time
// share shuffles and caches while processes are killed, stopped, decommissioned and replaced, connections break, the network is cut between any two
// machines, files are deleted, map tasks write other rows the second time, messages are late or come twice, tasks fail, hang or are slow, jobs are cancelled. After a time the trouble
// ends.
//
//   - Every job ends soon after, with success or a cause that the trouble explains.
//   - Every result is right and comes once, from one version of each map output where map tasks write other rows each time, unless the job fails; every accumulator update of a result counts once, that of a map task once for each output of it that was taken.
//   - A stage has one active attempt. Nothing is launched on executors that the driver has lost or decommissioned, and nothing counts that lost ones say.
//   - Tasks of a barrier stage are launched together, pass barriers together, and count together or not at all.
//   - One attempt of a task may publish; a job that succeeds has published every partition.
//   - When all jobs have ended nothing of them is left in the driver.
//   - When the trouble has ended, cached blocks that are kept on two executors are on two, but for those that were evicted or could not be copied.
//
// SPARK_GO_SEED=n plays one seed and shows everything that happened.
func TestSimulatedCluster(t *testing.T) {
	if n, err := strconv.ParseUint(os.Getenv("SPARK_GO_SEED"), 10, 64); err == nil {
		s := newSimulation(n)
		s.w.record = t.Logf
		if err := s.run(); err != nil {
			t.Errorf("seed %d: %v", n, err)
		}
		return
	}
	seeds := *simSeeds
	if seeds == 0 {
		if seeds = 300; os.Getenv("SPARK_GO_SLOW") != "" {
			seeds = 10_000
		}
	}
	quiet(t)
	var mu sync.Mutex
	var total simTally
	start := time.Now()
	play := func(seed uint64) {
		s := newSimulation(seed)
		err := s.run()
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
		total.add(s.tally)
	}
	for _, seed := range simRegressions {
		play(seed)
	}
	var next atomic.Int64
	var players sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		players.Go(func() {
			for i := next.Add(1) - 1; i < int64(seeds) && !t.Failed(); i = next.Add(1) - 1 {
				play(*simFirst + uint64(i))
			}
		})
	}
	players.Wait()
	t.Logf("%d seeds, %.0f a second: %+v", seeds, float64(seeds)/time.Since(start).Seconds(), total)
	if seeds >= 300 {
		total.check(t)
	}
}

// TestSimulationReplays plays seeds twice: everything must happen again, at the same time.
func TestSimulationReplays(t *testing.T) {
	quiet(t)
	for seed := range uint64(8) {
		sums := [2]uint64{}
		for i := range sums {
			s := newSimulation(seed*5 + 3)
			h := fnv.New64a()
			s.w.record = func(format string, args ...any) { fmt.Fprintf(h, format+"\n", args...) }
			if err := s.run(); err != nil {
				t.Fatalf("seed %d: %v", seed*5+3, err)
			}
			sums[i] = h.Sum64()
		}
		if sums[0] != sums[1] {
			t.Errorf("seed %d went another way the second time", seed*5+3)
		}
	}
}

// quiet keeps the driver's warnings out of the test's output.
func quiet(t testing.TB) {
	old := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(io.Discard, nil)))
	t.Cleanup(func() { slog.SetDefault(old) })
}

// simTally counts what happened.
type simTally struct {
	jobs, succeeded, failed, cancelled, tasks, failures, fetches, exits, hosts, cuts, stops, breaks, deleted, evicted, duplicates, denied, lost, returned, copies, resubmitted, told, movedOutputs, movedBlocks, replicated, readElsewhere int

	changed, rolledBack, broken int

	barriers, narrow int
}

func (a *simTally) add(b simTally) {
	for i, p := range a.fields() {
		*p.n += *b.fields()[i].n
	}
}

type simCount struct {
	name string
	n    *int
}

func (a *simTally) fields() []simCount {
	return []simCount{
		{"jobs", &a.jobs},
		{"jobs that succeed", &a.succeeded},
		{"jobs that fail", &a.failed},
		{"cancelled jobs", &a.cancelled},
		{"tasks", &a.tasks},
		{"failing tasks", &a.failures},
		{"failed fetches", &a.fetches},
		{"exits", &a.exits},
		{"dead hosts", &a.hosts},
		{"cuts", &a.cuts},
		{"stopped processes", &a.stops},
		{"broken connections", &a.breaks},
		{"deleted files", &a.deleted},
		{"evicted blocks", &a.evicted},
		{"duplicates", &a.duplicates},
		{"denied commits", &a.denied},
		{"lost executors", &a.lost},
		{"executors that were given up and return", &a.returned},
		{"second copies", &a.copies},
		{"resubmitted stages", &a.resubmitted},
		{"decommissioned executors", &a.told},
		{"copies of map outputs", &a.movedOutputs},
		{"copies of cached blocks", &a.movedBlocks},
		{"changed map outputs", &a.changed},
		{"shuffles and attempts rolled back", &a.rolledBack},
		{"jobs that cannot be rolled back", &a.broken},
		{"passed barriers", &a.barriers},
		{"jobs with too few slots", &a.narrow},
		{"second copies of cached blocks", &a.replicated},
		{"cached blocks read from other executors", &a.readElsewhere},
	}
}

// check wants every kind of trouble to have happened, or the test would show nothing.
func (a *simTally) check(t *testing.T) {
	for _, c := range a.fields() {
		if *c.n == 0 {
			t.Errorf("no %s in all simulations", c.name)
		}
	}
}

// faults are what may happen in one simulation, as rates a second of the whole cluster, or probabilities of a task.
type simFaults struct {
	kills, hostKills, cuts, stops, breaks, deletes, evicts, cancels, decommissions float64
	taskFails, taskKills                                                           float64
	slow, duplicates                                                               bool
}

// simJob is a job and what has come of it.
type simJob struct {
	*job
	commits   bool
	cancelled bool
	delivered map[int]bool
	updates   map[int]int // by partition: how often its update was merged
	accepted  map[int]int64
	results   map[int]uint64 // by partition
	from      *origins       // of them
	over      bool
}

// simulation is one simulated cluster and its jobs.
type simulation struct {
	simLineage
	w         *world
	ctx       *Context
	loop      *loop
	roster    *cluster.Roster
	rng       *rand.Rand
	faults    simFaults
	heartbeat time.Duration
	timeout   time.Duration
	cores     int
	executors int
	chaos     time.Duration // when the trouble ends
	harmless  bool          // executors are decommissioned at most
	set       sched.Settings

	hosts    []*simHost
	hostByID map[string]*simHost
	programs map[protocol.StageKey]*simProgram
	jobs     map[int]*simJob
	order    []*simJob
	toSubmit int

	clock           *decisions // times the driver; nil unless that is wanted
	draining        bool
	wakeAt          time.Duration
	err             error
	ended           map[int64]protocol.Outcome // what tasks said, whether or not it arrived
	died            map[int64]bool             // tasks whose process ended under them
	published       map[int64]bool
	placeOf         map[int64][2]int // stage and partition of tasks
	holders         map[[2]int]int64 // who may publish a partition of a stage
	lost            map[string]bool  // executors that the driver has lost
	leaving         map[string]bool  // executors that it has decommissioned
	active          map[int]int      // attempt of each stage
	counted         map[[3]int]int   // failures of a task in a stage attempt
	unread          map[int]int      // attempts of each stage in a row that a fetch failure ended
	gaveUp          bool
	shuffled        map[uint64]int            // merged updates of map stages
	changes         *rand.Rand                // which map outputs change
	made            map[int64]simRows         // the results of tasks
	arrived         map[barrierKey]int        // tasks
	started, counts map[protocol.StageKey]int // tasks that were launched, and those that count
	written         map[uint64]int            // by update: how often the output of its map task was taken
	mayBeShort      map[protocol.BlockID]bool // cached blocks of which a copy was evicted, or could not be made
	tally           simTally
}

// emptySimulation has neither executors nor datasets.
func emptySimulation(seed uint64) *simulation {
	w := newWorld(seed)
	return &simulation{
		w: w, rng: w.rng, hostByID: map[string]*simHost{}, programs: map[protocol.StageKey]*simProgram{}, jobs: map[int]*simJob{},
		ended: map[int64]protocol.Outcome{}, died: map[int64]bool{}, published: map[int64]bool{}, placeOf: map[int64][2]int{}, holders: map[[2]int]int64{}, lost: map[string]bool{}, leaving: map[string]bool{}, active: map[int]int{},
		counted: map[[3]int]int{}, unread: map[int]int{}, shuffled: map[uint64]int{}, written: map[uint64]int{}, changes: rand.New(rand.NewPCG(seed, 4)), made: map[int64]simRows{}, mayBeShort: map[protocol.BlockID]bool{}, arrived: map[barrierKey]int{}, started: map[protocol.StageKey]int{}, counts: map[protocol.StageKey]int{}, heartbeat: time.Second, timeout: 6 * time.Second, wakeAt: -1,
		set: sched.Defaults(),
	}
}

func newSimulation(seed uint64) *simulation {
	s := emptySimulation(seed)
	rng := s.rng
	s.cores = 1 + rng.IntN(3)
	set := s.set
	if rng.IntN(2) == 0 {
		set.Mode = sched.FAIR
		set.Pools = []sched.PoolSpec{{Name: "a", Weight: 2, MinShare: 1}, {Name: "b", Weight: 1, Mode: sched.FAIR}}
	}
	if rng.IntN(3) == 0 {
		set.Speculation.Enabled = true
		set.Speculation.Quantile = 0.5
	}
	if rng.IntN(4) == 0 {
		set.Exclusion.Enabled = true
		set.Exclusion.Timeout = 20 * time.Second
		set.Exclusion.UnschedulableTime = 10 * time.Second
	}
	s.set = set
	if seed%8 != 0 {
		rate := func(most float64) float64 {
			if rng.IntN(2) == 0 {
				return 0
			}
			return most * rng.Float64()
		}
		s.faults = simFaults{
			kills: rate(0.3), hostKills: rate(0.1), cuts: rate(0.15), stops: rate(0.15), breaks: rate(0.2), deletes: rate(0.3), evicts: rate(0.5),
			cancels: rate(0.05), taskFails: rate(0.15), taskKills: rate(0.05), slow: rng.IntN(2) == 0, duplicates: rng.IntN(2) == 0,
		}
		s.chaos = between(rng, 10*time.Second, 60*time.Second)
		if own := rand.New(rand.NewPCG(seed, 3)); own.IntN(2) == 0 {
			s.faults.decommissions = 0.3 * own.Float64()
		}
	} else { // nothing that anybody could be blamed for
		s.chaos, s.harmless = 10*time.Second, true
		s.set.MaxTaskFailures, s.set.MaxStageAttempts = 1, 1
		if own := rand.New(rand.NewPCG(seed, 3)); own.IntN(2) == 0 {
			s.faults.decommissions = 2 * own.Float64()
		}
	}
	s.toSubmit = 1 + rng.IntN(5)
	s.executors = 1 + rng.IntN(4)
	s.set.Barrier.CheckInterval, s.set.Barrier.CheckFailures, s.set.Barrier.Timeout = time.Second, 20, 2*time.Minute
	s.connect(s.executors, cluster.Config{MaxHostLosses: 1000})
	s.ctx.spread = rng.IntN(2) == 0
	s.describe(rng)
	return s
}

// connect puts the driver on the simulated world.
func (s *simulation) connect(executors int, config cluster.Config) {
	c := &Context{
		conf: conf.New(), started: s.w.start, accumulators: map[int]func([]byte) error{}, broadcasts: map[int]*broadcast{}, groups: map[*job]trackedJob{},
		stopped: make(chan struct{}),
	}
	c.Register(simAccumulator, s.merge)
	if !s.w.fast {
		c.AddListener(s.watch)
	}
	config.Executors, config.Heartbeat, config.Timeout = executors, s.heartbeat, s.timeout
	config.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	s.roster = cluster.NewRoster(config, func() (string, error) { return simDigest, nil }, s, func(e cluster.Event) {
		if lost, ok := e.(cluster.Failed); ok {
			s.w.logf("FAILED %v", lost.Err)
			s.gaveUp = true
		}
		c.onCluster(e)
		s.poke()
	})
	s.w.roster = s.roster
	c.backend = simBackend{s.roster, s}
	s.ctx, s.loop = c, newLoop(c, s.set)
	c.loop = s.loop
	s.loop.now = s.w.time
	s.w.after(0, func() { s.roster.LaunchHosts(executors) })
	s.expire()
}

func (s *simulation) expire() {
	s.roster.Expire()
	s.w.after(s.timeout/8, s.expire)
}

// simBackend sends through the roster.
type simBackend struct {
	*cluster.Roster
	s *simulation
}

func (b simBackend) Start(context.Context, func(cluster.Event)) error { return nil }
func (b simBackend) Stop()                                            {}

// SendStage implements cluster.Backend.
func (b simBackend) SendStage(executor string, m *protocol.StageBinary) error {
	b.s.learn(m)
	return b.Roster.SendStage(executor, m)
}

// AnswerCommit implements cluster.Backend.
func (b simBackend) AnswerCommit(executor string, task int64, allowed bool) error {
	s := b.s
	place := s.placeOf[task]
	if holder, held := s.holders[place]; allowed && held && holder != task {
		s.fail("tasks %d and %d of stage %d, partition %d, may both publish", holder, task, place[0], place[1])
	}
	if allowed {
		s.holders[place] = task
	}
	return b.Roster.AnswerCommit(executor, task, allowed)
}

// fail ends the simulation with a violation.
func (s *simulation) fail(format string, args ...any) {
	if s.err == nil {
		s.err = fmt.Errorf("after %v: %w", s.w.now, fmt.Errorf(format, args...))
		s.w.logf("VIOLATION %v", s.err)
	}
}

// trouble says whether faults happen now.
func (s *simulation) trouble() bool { return s.w.now < s.chaos }

// gone notes that a task's process has ended under it.
func (s *simulation) gone(t *simTask) { s.died[t.ID] = true }

// poke has the loop look at its queue soon.
func (s *simulation) poke() {
	if s.draining {
		return
	}
	s.draining = true
	d := between(s.rng, 0, 500*time.Microsecond)
	if !s.w.fast && s.rng.IntN(100) == 0 {
		d = between(s.rng, 0, 300*time.Millisecond) // the driver is busy
	}
	s.w.after(d, s.drain)
}

func (s *simulation) drain() {
	s.draining = false
	l := s.loop
	for {
		l.queue.mu.Lock()
		l.queue.items = slices.DeleteFunc(l.queue.items, func(item any) bool { // the garbage collector's news come at any time
			_, ok := item.(gone)
			return ok
		})
		l.queue.mu.Unlock()
		if s.clock != nil {
			if !s.clock.drain(l) {
				break
			}
		} else if some, _ := l.drain(); !some {
			break
		}
	}
	s.collect()
	s.schedule()
}

// schedule wakes the loop when the scheduler wants to be woken.
func (s *simulation) schedule() {
	at, ok := s.loop.sched.Deadline()
	if !ok {
		return
	}
	d := max(at.Sub(s.w.start), s.w.now)
	if s.wakeAt > s.w.now && s.wakeAt <= d {
		return
	}
	s.wakeAt = d
	s.w.at(d, 0, func() {
		if s.wakeAt == d {
			s.wakeAt = -1
			s.loop.wake()
			s.drain()
		}
	})
}

// submit gives a job to the loop, as Context.Run does.
func (s *simulation) submit() {
	d := s.datasets[s.rng.IntN(len(s.datasets))]
	if s.rng.IntN(2) == 0 {
		d = s.datasets[len(s.datasets)-1]
	}
	j := &simJob{delivered: map[int]bool{}, updates: map[int]int{}, accepted: map[int]int64{}, results: map[int]uint64{}, commits: !s.w.fast && s.rng.IntN(4) == 0}
	j.job = &job{id: int(s.ctx.jobIDs.Add(1)) - 1, pool: []string{"", "a", "b", "c"}[s.rng.IntN(4)], wake: make(chan struct{}, 1)}
	j.spec = rdd.Job{Target: d.Node(), Action: simAction{j.id}, Name: "Simulate"}
	if !s.w.fast && s.rng.IntN(4) == 0 && !d.Node().Barrier() {
		p := s.rng.IntN(d.NumPartitions())
		j.spec.Partitions, j.index = []int{p}, map[int]int{p: 0}
	}
	if d.NumPartitions() == 0 {
		return
	}
	s.tally.jobs++
	s.jobs[j.id] = j
	s.order = append(s.order, j)
	s.w.logf("JOB %d: %v, partitions %v, commits %v", j.id, d.Node(), j.spec.Partitions, j.commits)
	s.loop.queue.put(j.job)
	s.poke()
}

func (s *simulation) cancel(j *simJob) {
	s.w.logf("CANCEL job %d", j.id)
	j.cancelled = true
	s.loop.queue.put(sched.JobCancelled{Job: j.id, Reason: "chance"})
	s.poke()
}

// run plays the simulation to its end.
func (s *simulation) run() error {
	for range s.toSubmit {
		s.w.after(between(s.rng, 0, s.chaos*3/4), s.submit)
	}
	s.scheduleFaults()
	s.w.after(s.chaos, s.settle)
	limit := s.chaos + 15*time.Minute
	idle := func() bool {
		return s.w.now > s.chaos && len(s.order) > 0 && !slices.ContainsFunc(s.order, func(j *simJob) bool { return !j.over })
	}
	for s.err == nil && !idle() {
		if !s.w.step() || s.w.now > limit {
			var open []string
			for _, j := range s.order {
				if !j.over {
					open = append(open, fmt.Sprint(j.id))
				}
			}
			s.fail("jobs %s do not end; the scheduler has %+v", strings.Join(open, ", "), s.loop.sched.Load())
		}
	}
	for end := s.w.now + 3*time.Minute; s.err == nil && s.w.now < end; { // killed tasks end
		s.w.step()
	}
	if s.err == nil {
		s.err = s.leaks()
	}
	return s.err
}
