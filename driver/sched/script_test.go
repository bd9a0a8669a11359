package sched

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spark-go/spark-go/driver/plan"
	"github.com/spark-go/spark-go/shuffle"
)

var rewrite = flag.Bool("rewrite", false, "write the expected actions into the scripts instead of comparing with them")

// TestScripts plays the scripts of testdata: lines with events, each followed by the actions expected, marked by ">".
//
//	set failures=4 attempts=4 cpus=1 wait=3s mode=FAIR speculation exclusion norollback
//	    barrier=10s interval=15s checks=40 slots=0    before the first event
//	    threshold=10s width=2 efficiency=false       of speculation; width is the slots of an executor
//	pool name FIFO|FAIR weight minShare                                       likewise
//	+1s                                     time passes, without an event
//	executor e1 h1 4                        ExecutorAdded: name, host, cores
//	job 1 [pool=name] [priority=1]          JobSubmitted, with the stages that follow, indented:
//	  stage 0 shuffle 0 tasks 2 [reads 1,2] [behind 3] [missing 0,1] [barrier 1]
//	  place 0 2 e1 @h2                      where task 2 of stage 0 would like to run: executors, and hosts with @
//	rows 3 1000                             Progress: task attempt 3 has read 1000 rows
//	ok 3 [rows 1000], fail 3 text, full 3, killed 3, denied 3   TaskFinished for task attempt 3
//	ok 3 other 7                            the same as ok; the map output has the rows known as 7 instead of 0
//	permanent 3 text                        the same as fail, marked as permanent
//	fetch 3 shuffle map executor [server] [decommissioned]
//	sync 3 [round 0] [gather text]          BarrierReached
//	lose e1 [outputs] [fault]               ExecutorLost
//	decommission e1                         ExecutorDecommissioned
//	move e1 0 2 e2 h2                       OutputMoved: from e1, map output 2 of shuffle 0 to e2 on h2
//	losehost h1, cancel 1, commit 3, remove 0 (a shuffle), tick
//	deadline                                no event: shows when a tick is due
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("no scripts in testdata")
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got, err := play(string(text))
			if err != nil {
				t.Fatal(err)
			}
			if *rewrite {
				if err := os.WriteFile(file, []byte(got), 0o666); err != nil {
					t.Fatal(err)
				}
			} else if got != string(text) {
				t.Errorf("played:\n%s", firstDifference(string(text), got))
			}
		})
	}
}

func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range g {
		if i >= len(w) || w[i] != g[i] {
			from, to := max(i-8, 0), min(i+8, len(g))
			expected := "the end"
			if i < len(w) {
				expected = w[i]
			}
			return fmt.Sprintf("line %d: want %s\ngot\n%s", i+1, expected, strings.Join(g[from:to], "\n"))
		}
	}
	return "want more: " + strings.Join(w[len(g):], "\n")
}

// script plays one script.
type script struct {
	out       strings.Builder
	set       Settings
	s         *Scheduler
	start     time.Time
	now       time.Time
	executors map[TaskID]LaunchTask
	maps      map[int]int // shuffle of each stage, or plan.Result
}

func play(text string) (string, error) {
	sc := &script{set: Defaults(), start: time.Unix(0, 0), executors: map[TaskID]LaunchTask{}, maps: map[int]int{}}
	sc.now = sc.start
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		if strings.HasPrefix(line, ">") {
			continue
		}
		fmt.Fprintln(&sc.out, line)
		f := strings.Fields(line)
		if len(f) == 0 || strings.HasPrefix(line, "#") {
			continue
		}
		var sub []string
		for f[0] == "job" && i+1 < len(lines) && strings.HasPrefix(lines[i+1], "  ") {
			i++
			fmt.Fprintln(&sc.out, lines[i])
			sub = append(sub, lines[i])
		}
		if err := sc.line(f, sub); err != nil {
			return "", fmt.Errorf("line %d: %q: %w", i+1, line, err)
		}
	}
	return sc.out.String(), nil
}

func (sc *script) line(f, sub []string) error {
	var event Event
	var err error
	arg := func(i int) string {
		if i < len(f) {
			return f[i]
		}
		err = errors.New("too few words")
		return ""
	}
	number := func(i int) int {
		n, e := strconv.Atoi(arg(i))
		err = errors.Join(err, e)
		return n
	}
	has := func(word string) bool {
		for _, w := range f[1:] {
			if w == word {
				return true
			}
		}
		return false
	}
	switch f[0] {
	case "set":
		return sc.settings(f[1:])
	case "pool":
		mode := FIFO
		if arg(2) == "FAIR" {
			mode = FAIR
		}
		sc.set.Pools = append(sc.set.Pools, PoolSpec{Name: arg(1), Mode: mode, Weight: number(3), MinShare: number(4)})
		return err
	case "deadline":
		at, ok := sc.s.Deadline()
		if !ok {
			fmt.Fprintln(&sc.out, "> none")
		} else {
			fmt.Fprintf(&sc.out, "> %v\n", at.Sub(sc.start))
		}
		return nil
	case "executor":
		event = ExecutorAdded{Executor: arg(1), Host: arg(2), Cores: number(3)}
	case "job":
		event, err = sc.job(f, sub)
	case "ok":
		id := TaskID(number(1))
		done := TaskFinished{Task: id, Outcome: Succeeded, Value: fmt.Sprintf("value of %d", id)}
		if has("rows") {
			done.Rows = int64(number(3))
		}
		if l, ok := sc.executors[id]; ok && sc.maps[l.Stage] != plan.Result {
			done.Output = &shuffle.Output{Map: l.Partition, Location: shuffle.Location{Executor: l.Executor, Host: "host of " + l.Executor}}
			if h := sc.s.executors[l.Executor]; h != nil {
				done.Output.Location.Host = h.host.name
			}
			if has("other") {
				done.Output.Sum.Content = uint32(number(3))
			}
		}
		event = done
	case "fail", "permanent":
		event = TaskFinished{Task: TaskID(number(1)), Outcome: Failed, Err: errors.New(strings.Join(f[2:], " ")), Permanent: f[0] == "permanent"}
	case "full":
		event = TaskFinished{Task: TaskID(number(1)), Outcome: Failed, DiskFull: true, Err: errors.New("no space left on device")}
	case "killed":
		event = TaskFinished{Task: TaskID(number(1)), Outcome: Killed, Err: errors.New("killed")}
	case "denied":
		event = TaskFinished{Task: TaskID(number(1)), Outcome: CommitDenied, Err: errors.New("commit denied")}
	case "fetch":
		event = TaskFinished{
			Task: TaskID(number(1)), Outcome: FetchFailed, Err: errors.New("connection refused"),
			Fetch: FetchFailure{Shuffle: number(2), Map: number(3), Executor: arg(4), ServerLost: has("server"), Decommissioned: has("decommissioned")},
		}
	case "lose":
		event = ExecutorLost{Executor: arg(1), Reason: errors.New("exit status 42"), OutputsLost: has("outputs"), Fault: has("fault")}
	case "decommission":
		event = ExecutorDecommissioned{Executor: arg(1)}
	case "move":
		event = OutputMoved{From: arg(1), Shuffle: number(2), Output: shuffle.Output{Map: number(3), Location: shuffle.Location{Executor: arg(4), Host: arg(5)}}}
	case "losehost":
		event = HostLost{Host: arg(1), Reason: errors.New("no heartbeat")}
	case "cancel":
		event = JobCancelled{Job: number(1), Reason: "by the user"}
	case "commit":
		event = CommitAsked{Task: TaskID(number(1))}
	case "remove":
		event = ShuffleRemoved{Shuffle: number(1)}
	case "sync":
		reached := BarrierReached{Task: TaskID(number(1))}
		for i := 2; i+1 < len(f); i += 2 {
			if f[i] == "round" {
				reached.Round = number(i + 1)
			} else {
				reached.Gather, reached.Message = true, []byte(f[i+1])
			}
		}
		event = reached
	case "rows":
		event = Progress{[]TaskProgress{{Task: TaskID(number(1)), Rows: int64(number(2))}}}
	case "tick":
		event = Tick{}
	default:
		d, e := time.ParseDuration(strings.TrimPrefix(f[0], "+"))
		sc.now = sc.now.Add(d)
		return e
	}
	if err != nil {
		return err
	}
	if sc.s == nil {
		sc.s = New(sc.set)
	}
	for _, a := range sc.s.Handle(sc.now, event) {
		if l, ok := a.(LaunchTask); ok {
			sc.executors[l.Task] = l
		}
		if st, ok := a.(StageSubmitted); ok {
			sc.maps[st.Stage.ID] = st.Stage.Shuffle
		}
		fmt.Fprintf(&sc.out, "> %s\n", show(a))
	}
	return sc.s.verify()
}

func (sc *script) settings(words []string) error {
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		n, _ := strconv.Atoi(value)
		switch key {
		case "failures":
			sc.set.MaxTaskFailures = n
		case "attempts":
			sc.set.MaxStageAttempts = n
		case "checks":
			sc.set.Barrier.CheckFailures = n
		case "slots":
			sc.set.Barrier.MaxSlots = n
		case "barrier", "interval":
			d, err := time.ParseDuration(value)
			if err != nil {
				return err
			}
			if key == "barrier" {
				sc.set.Barrier.Timeout = d
			} else {
				sc.set.Barrier.CheckInterval = d
			}
		case "cpus":
			sc.set.CPUs = n
		case "wait":
			d, err := time.ParseDuration(value)
			if err != nil {
				return err
			}
			sc.set.LocalityWaitProcess, sc.set.LocalityWaitNode = d, d
		case "mode":
			if value == "FAIR" {
				sc.set.Mode = FAIR
			}
		case "speculation":
			sc.set.Speculation.Enabled = true
		case "efficiency":
			sc.set.Speculation.Efficiency = value == "true"
		case "threshold":
			d, err := time.ParseDuration(value)
			if err != nil {
				return err
			}
			sc.set.Speculation.Threshold = d
		case "width":
			sc.set.Speculation.Slots = n
		case "norollback":
			sc.set.Rollback = false
		case "exclusion":
			sc.set.Exclusion.Enabled = true
		default:
			return fmt.Errorf("no setting %s", key)
		}
	}
	return nil
}

func (sc *script) job(f, sub []string) (Event, error) {
	id, err := strconv.Atoi(f[1])
	if err != nil {
		return nil, err
	}
	job := JobSubmitted{Job: id, Plan: &plan.Plan{}}
	for _, w := range f[2:] {
		switch key, value, _ := strings.Cut(w, "="); key {
		case "pool":
			job.Pool = value
		case "priority":
			if job.Priority, err = strconv.Atoi(value); err != nil {
				return nil, err
			}
		}
	}
	places := map[[2]int][]Place{}
	for _, line := range sub {
		f := strings.Fields(line)
		if f[0] == "place" {
			nums, err := ints(f[1] + "," + f[2])
			if err != nil {
				return nil, err
			}
			key := [2]int{nums[0], nums[1]}
			for _, w := range f[3:] {
				if h, isHost := strings.CutPrefix(w, "@"); isHost {
					places[key] = append(places[key], Place{Host: h})
				} else {
					places[key] = append(places[key], Place{Executor: w})
				}
			}
			continue
		}
		st := &plan.Stage{Shuffle: plan.Result}
		for i := 0; i+1 < len(f); i += 2 {
			if f[i] == "result" {
				i--
				continue
			}
			nums, err := ints(f[i+1])
			if err != nil {
				return nil, err
			}
			switch f[i] {
			case "stage":
				st.ID = nums[0]
			case "shuffle":
				st.Shuffle = nums[0]
			case "barrier":
				st.Barrier = true
			case "tasks":
				st.Tasks = nums[0]
			case "reads":
				st.Parents = nums
			case "behind":
				st.Behind = nums
			case "missing":
				st.Missing = nums
			default:
				return nil, fmt.Errorf("what is %q", f[i])
			}
		}
		job.Plan.Stages = append(job.Plan.Stages, st)
	}
	if len(places) > 0 {
		job.Prefer = func(st *plan.Stage, p int) []Place { return places[[2]int{st.ID, p}] }
	}
	return job, nil
}

func ints(text string) ([]int, error) {
	var list []int
	for w := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(w)
		if err != nil {
			return nil, err
		}
		list = append(list, n)
	}
	return list, nil
}

func show(a Action) string {
	switch a := a.(type) {
	case StageSubmitted:
		return fmt.Sprintf("submit stage %d.%d partitions %v jobs %v", a.Stage.ID, a.Attempt, a.Partitions, a.Jobs)
	case StageCompleted:
		return fmt.Sprintf("completed stage %d.%d%s", a.Stage.ID, a.Attempt, cause(a.Err))
	case LaunchTask:
		text := fmt.Sprintf("launch %d: stage %d.%d partition %d try %d on %s %v", a.Task, a.Stage, a.StageAttempt, a.Partition, a.Attempt, a.Executor, a.Locality)
		if a.Speculative {
			text += " speculative"
		}
		return text
	case KillTask:
		return fmt.Sprintf("kill %d on %s: %s", a.Task, a.Executor, a.Reason)
	case TaskEnded:
		text := fmt.Sprintf("ended %d: stage %d.%d partition %d try %d: %v", a.Task, a.Stage, a.StageAttempt, a.Partition, a.Attempt, a.Outcome)
		if a.Outcome == Succeeded && !a.Accepted {
			text += ", dropped"
		}
		if a.Failures > 0 {
			text += fmt.Sprintf(", failures %d", a.Failures)
		}
		return text + cause(a.Err)
	case Result:
		return fmt.Sprintf("result of job %d partition %d: %v", a.Job, a.Partition, a.Value)
	case JobFinished:
		return fmt.Sprintf("job %d finished%s", a.Job, cause(a.Err))
	case OutputsUnregistered:
		return fmt.Sprintf("outputs lost: shuffle %d maps %v", a.Shuffle, a.Maps)
	case NoResources:
		return fmt.Sprintf("no resources for %v: %d tasks, %d executors", a.Since, a.Tasks, a.Executors)
	case RolledBack:
		return fmt.Sprintf("rolled back what read partition %d of stage %d: shuffles %v, attempts of stages %v, jobs %v", a.Partition, a.Stage.ID, a.Shuffles, a.Stages, a.Jobs)
	case CachedVoid:
		return fmt.Sprintf("cached blocks are void: computed from shuffles %v", a.Shuffles)
	case GangLaunched:
		text := fmt.Sprintf("gang of stage %d.%d:", a.Stage, a.Attempt)
		for _, m := range a.Members {
			text += fmt.Sprintf(" %d on %s", m.Partition, m.Executor)
		}
		return text
	case BarrierPassed:
		return fmt.Sprintf("barrier %d passed on %s by %v %q%s", a.Round, a.Executor, a.Tasks, a.Messages, cause(a.Err))
	case CommitAnswered:
		return fmt.Sprintf("commit %d on %s: %v", a.Task, a.Executor, a.Allowed)
	case ExecutorExcluded:
		return fmt.Sprintf("excluded %s until %v", a.Executor, a.Until.Sub(time.Unix(0, 0)))
	}
	return fmt.Sprintf("%#v", a)
}

func cause(err error) string {
	if err == nil {
		return ""
	}
	return ": " + err.Error()
}
