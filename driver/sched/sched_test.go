package sched

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spark-go/spark-go/driver/plan"
	"github.com/spark-go/spark-go/shuffle"
)

// chain makes a plan of n stages in a row with one task each.
func chain(n int) *plan.Plan {
	p := &plan.Plan{}
	for i := range n {
		st := &plan.Stage{ID: i, Shuffle: i, Tasks: 1}
		if i > 0 {
			st.Parents = []int{i - 1}
		}
		if i == n-1 {
			st.Shuffle = plan.Result
		}
		p.Stages = append(p.Stages, st)
	}
	return p
}

// finishAll reports success of every launched task until nothing is launched, and returns how many there were.
func finishAll(t *testing.T, s *Scheduler, now time.Time, actions []Action) (tasks int, end *JobFinished) {
	t.Helper()
	queue := slices.Clone(actions)
	for i := 0; i < len(queue); i++ {
		switch a := queue[i].(type) {
		case LaunchTask:
			tasks++
			out := &shuffle.Output{Map: a.Partition, Attempt: int64(a.Task), Location: shuffle.Location{Executor: a.Executor}}
			queue = append(queue, s.Handle(now, TaskFinished{Task: a.Task, Output: out})...)
		case JobFinished:
			end = &a
		}
	}
	return tasks, end
}

// TestDeepJob runs, loses and runs again a job of 10,000 stages in a row.
func TestDeepJob(t *testing.T) {
	const n = 10_000
	start := time.Now()
	now := time.Unix(0, 0)
	s := New(Defaults())
	s.Handle(now, ExecutorAdded{Executor: "e1", Host: "h1", Cores: 2})
	tasks, end := finishAll(t, s, now, s.Handle(now, JobSubmitted{Job: 0, Plan: chain(n)}))
	if tasks != n || end == nil || end.Err != nil {
		t.Fatalf("%d tasks ran, the job ended with %v", tasks, end)
	}
	s.Handle(now, ExecutorAdded{Executor: "e2", Host: "h2", Cores: 2})
	s.Handle(now, HostLost{Host: "h1"})
	tasks, end = finishAll(t, s, now, s.Handle(now, JobSubmitted{Job: 1, Plan: chain(n)}))
	if tasks != n || end == nil || end.Err != nil {
		t.Fatalf("after the loss %d tasks ran, the job ended with %v", tasks, end)
	}
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("20,000 stages took %v", d)
	}
}

// TestManyTasks holds the cost of a decision down: it must not depend on how many tasks there are.
func TestManyTasks(t *testing.T) {
	now := time.Unix(0, 0)
	s := cluster(Defaults(), 1000, 1)
	start := time.Now()
	tasks, end := finishAll(t, s, now, s.Handle(now, JobSubmitted{Job: 0, Plan: plan.New(benchNode(100_000), plan.Options{})}))
	if tasks != 100_000 || end == nil {
		t.Fatalf("%d tasks ran", tasks)
	}
	if d := time.Since(start); d > 5*time.Second { // 0.2 s on an idle machine
		t.Errorf("100,000 tasks took %v", d)
	}
}

func TestMedian(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var m median
	var all []time.Duration
	for range 2000 {
		d := time.Duration(rng.IntN(100))
		m.add(d)
		all = append(all, d)
		slices.Sort(all)
		n := len(all)
		if want := (all[(n-1)/2] + all[n/2]) / 2; m.median() != want {
			t.Fatalf("median of %d values is %v, want %v", n, m.median(), want)
		}
	}
}

func TestParsePools(t *testing.T) {
	pools, err := ParsePools(strings.NewReader(`<?xml version="1.0"?>
<allocations>
  <pool name="production"><schedulingMode>FAIR</schedulingMode><weight>2</weight><minShare>3</minShare></pool>
  <pool name="test"/>
</allocations>`))
	want := []PoolSpec{{Name: "production", Mode: FAIR, Weight: 2, MinShare: 3}, {Name: "test", Weight: 1}}
	if err != nil || !slices.Equal(pools, want) {
		t.Errorf("got %+v, %v, want %+v", pools, err, want)
	}
	for name, text := range map[string]string{
		"not XML":        "pools",
		"no name":        "<allocations><pool/></allocations>",
		"twice":          `<allocations><pool name="a"/><pool name="a"/></allocations>`,
		"wrong mode":     `<allocations><pool name="a"><schedulingMode>LIFO</schedulingMode></pool></allocations>`,
		"wrong weight":   `<allocations><pool name="a"><weight>0</weight></pool></allocations>`,
		"not a number":   `<allocations><pool name="a"><weight>much</weight></pool></allocations>`,
		"negative share": `<allocations><pool name="a"><minShare>-1</minShare></pool></allocations>`,
	} {
		if _, err := ParsePools(strings.NewReader(text)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestFairer(t *testing.T) {
	for _, c := range []struct {
		a, b [3]int // running, minimum, weight
		want int
	}{
		{[3]int{0, 0, 1}, [3]int{1, 0, 1}, -1},
		{[3]int{2, 0, 2}, [3]int{1, 0, 1}, 0},
		{[3]int{3, 0, 2}, [3]int{1, 0, 1}, 1},
		{[3]int{1, 2, 1}, [3]int{0, 0, 9}, -1}, // below its minimum goes first
		{[3]int{1, 4, 1}, [3]int{1, 2, 1}, -1}, // both below: the relatively poorer
		{[3]int{2, 2, 1}, [3]int{1, 0, 1}, 1},  // at its minimum it is like others
	} {
		if got := fairer(c.a[0], c.a[1], c.a[2], c.b[0], c.b[1], c.b[2]); got != c.want {
			t.Errorf("%v against %v: %d, want %d", c.a, c.b, got, c.want)
		}
		if got := fairer(c.b[0], c.b[1], c.b[2], c.a[0], c.a[1], c.a[2]); got != -c.want {
			t.Errorf("%v against %v: %d, want %d", c.b, c.a, got, -c.want)
		}
	}
}

func TestOutputs(t *testing.T) {
	o := newOutputs()
	at := func(executor, host string) shuffle.Output {
		return shuffle.Output{Location: shuffle.Location{Executor: executor, Host: host}}
	}
	if got := o.Missing(7, 2); !slices.Equal(got, []int{0, 1}) || o.complete(7, 2) || !o.complete(7, 0) {
		t.Errorf("unknown shuffle: missing %v", got)
	}
	o.put(7, 3, 0, at("e1", "h1"))
	o.put(7, 3, 1, at("e2", "h1"))
	o.put(7, 3, 2, at("e3", "h2"))
	o.put(7, 3, 2, at("e1", "h1")) // again, elsewhere
	if !o.complete(7, 3) || o.Missing(7, 3) != nil || len(o.Of(7)) != 3 || o.Epoch() != 0 {
		t.Errorf("complete shuffle: missing %v", o.Missing(7, 3))
	}
	if got := o.dropOne(7, 2, "e3"); got != nil {
		t.Errorf("an output that is elsewhere by now was dropped: %v", got)
	}
	if got := o.dropExecutor("e3"); got != nil {
		t.Errorf("outputs of an executor without any were dropped: %v", got)
	}
	if got := o.dropExecutor("e1"); len(got) != 1 || !slices.Equal(got[0].maps, []int{0, 2}) || o.Epoch() != 1 {
		t.Errorf("dropped %v, epoch %d", got, o.Epoch())
	}
	if got := o.dropHost("h1"); len(got) != 1 || !slices.Equal(got[0].maps, []int{1}) {
		t.Errorf("dropped %v", got)
	}
	o.remove(7)
	if got := o.Of(7); got != nil {
		t.Errorf("a removed shuffle has %v", got)
	}
}

func TestOutputHosts(t *testing.T) {
	o := newOutputs()
	for m, host := range []string{"h1", "h2", "h2", "h3"} {
		o.put(7, 4, m, shuffle.Output{Location: shuffle.Location{Executor: "e" + host, Host: host}, Sizes: []int64{10, 0, int64(m) * 100}})
	}
	for reduce, want := range [][]string{{"h2", "h1", "h3"}, nil, {"h2", "h3"}, nil} {
		if got := o.Hosts(7, reduce); !slices.Equal(got, want) {
			t.Errorf("partition %d: %v, want %v", reduce, got, want)
		}
	}
	if got := o.Hosts(8, 0); got != nil {
		t.Errorf("unknown shuffle: %v", got)
	}
}

// TestTimeDoesNotGoBack gives the scheduler a clock that jumps back.
func TestTimeDoesNotGoBack(t *testing.T) {
	now := time.Unix(1000, 0)
	s := New(Defaults())
	s.Handle(now, JobSubmitted{Job: 0, Plan: chain(1)})
	s.Handle(now.Add(10*time.Second), Tick{})
	s.Handle(now.Add(-time.Hour), Tick{})
	if at, ok := s.Deadline(); !ok || !at.Equal(now.Add(15*time.Second)) {
		t.Errorf("next tick at %v, %v", at, ok)
	}
}

func Example() {
	s := New(Defaults())
	now := time.Unix(0, 0)
	show := func(actions []Action) {
		for _, a := range actions {
			switch a := a.(type) {
			case StageSubmitted:
				fmt.Printf("stage %d: compute partitions %v\n", a.Stage.ID, a.Partitions)
			case LaunchTask:
				fmt.Printf("task %d: partition %d on %s\n", a.Task, a.Partition, a.Executor)
			case Result:
				fmt.Printf("partition %d: %v\n", a.Partition, a.Value)
			case JobFinished:
				fmt.Printf("job %d: %v\n", a.Job, a.Err)
			}
		}
	}
	show(s.Handle(now, ExecutorAdded{Executor: "e1", Host: "h1", Cores: 2}))
	show(s.Handle(now, JobSubmitted{Job: 1, Plan: &plan.Plan{Stages: []*plan.Stage{{Shuffle: plan.Result, Tasks: 2}}}}))
	show(s.Handle(now, TaskFinished{Task: 0, Value: "a"}))
	show(s.Handle(now, TaskFinished{Task: 1, Value: "b"}))
	// Output:
	// stage 0: compute partitions [0 1]
	// task 0: partition 0 on e1
	// task 1: partition 1 on e1
	// partition 0: a
	// partition 1: b
	// job 1: <nil>
}
