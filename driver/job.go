package driver

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"

	"github.com/spark-go/spark-go/driver/plan"
	"github.com/spark-go/spark-go/driver/sched"
	"github.com/spark-go/spark-go/rdd"
	"github.com/spark-go/spark-go/rdd/closure"
)

// ErrStopped is returned by actions whose context was stopped.
var ErrStopped = errors.New("the driver's context was stopped")

// job is a running action. The loop puts results in; the goroutine that called the action takes them out.
type job struct {
	id         int
	spec       rdd.Job
	callSite   string
	pool       string
	properties map[string]string
	index      map[int]int // of a partition in spec.Partitions; nil if all are wanted
	cancelled  error       // by its group or a tag, with Context.mu

	// The loop's own.
	plan        *plan.Plan
	resultBytes int64
	err         error // why the loop cancelled it

	mu      sync.Mutex
	results []delivery
	done    bool
	final   error
	wake    chan struct{}
}

type delivery struct {
	i     int
	value []byte
}

// deliver hands over the value of a partition.
func (j *job) deliver(partition int, value []byte) {
	i := partition
	if j.index != nil {
		i = j.index[partition]
	}
	j.mu.Lock()
	j.results = append(j.results, delivery{i, value})
	j.mu.Unlock()
	j.signal()
}

// finish ends the job.
func (j *job) finish(err error) {
	j.mu.Lock()
	if !j.done {
		j.done, j.final = true, err
	}
	j.mu.Unlock()
	j.signal()
}

func (j *job) signal() {
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

// next returns what arrived since the last call.
func (j *job) next() (results []delivery, done bool, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	results, j.results = j.results, nil
	return results, j.done, j.final
}

type propertiesKey struct{}

// WithProperty returns a context whose jobs carry a local property: tasks see it in rdd.Task.Properties, and the driver heeds
// spark.scheduler.pool and spark.job.description.
func WithProperty(ctx context.Context, key, value string) context.Context {
	props := map[string]string{}
	if old, ok := ctx.Value(propertiesKey{}).(map[string]string); ok {
		for k, v := range old {
			props[k] = v
		}
	}
	props[key] = value
	return context.WithValue(ctx, propertiesKey{}, props)
}

// Run implements rdd.Session: it runs a job and returns when it has ended and none of its results will be handled any more.
func (c *Context) Run(ctx context.Context, spec rdd.Job) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", spec.Name, context.Cause(ctx))
	}
	if c.err != nil {
		return fmt.Errorf("%s: %w", spec.Name, c.err)
	}
	if spec.Target.Session() != rdd.Session(c) {
		return fmt.Errorf("%s: dataset %v belongs to another context", spec.Name, spec.Target)
	}
	n := spec.Target.Partitions()
	if spec.Partitions != nil {
		n = len(spec.Partitions)
	}
	if n == 0 {
		return nil
	}
	j := &job{id: int(c.jobIDs.Add(1)) - 1, spec: spec, callSite: closure.UserPosition(), pool: c.conf.Get("spark.scheduler.pool"), wake: make(chan struct{}, 1)}
	if p, ok := ctx.Value(propertiesKey{}).(map[string]string); ok {
		j.properties = p
		if pool := p["spark.scheduler.pool"]; pool != "" {
			j.pool = pool
		}
	}
	if spec.Partitions != nil {
		j.index = make(map[int]int, n)
		for i, p := range spec.Partitions {
			if p < 0 || p >= spec.Target.Partitions() {
				return fmt.Errorf("%s: partition %d of dataset %v, which has %d", spec.Name, p, spec.Target, spec.Target.Partitions())
			}
			if _, twice := j.index[p]; twice {
				return fmt.Errorf("%s: partition %d is asked for twice", spec.Name, p)
			}
			j.index[p] = i
		}
		j.spec.Partitions = slices.Sorted(slices.Values(spec.Partitions))
	}
	release, err := c.track(ctx, j)
	if err != nil {
		return fmt.Errorf("%s: %w", spec.Name, err)
	}
	defer release()
	c.keeping.offer(spec.Target)
	if !c.submit(j) {
		return fmt.Errorf("%s: %w", spec.Name, ErrStopped)
	}
	err = c.await(ctx, j)
	c.jobEnded(err)
	if err != nil {
		return err
	}
	return rdd.AfterJob(ctx, spec.Target)
}

// await handles a job's results until it ends. When ctx ends or a result cannot be handled the job is cancelled, and its end still
// awaited: nothing of it runs on afterwards.
func (c *Context) await(ctx context.Context, j *job) error {
	var broken error
	cancelled := ctx.Done()
	for {
		select {
		case <-j.wake:
		case <-cancelled:
			cancelled = nil
			broken = context.Cause(ctx)
			c.loop.queue.put(sched.JobCancelled{Job: j.id, Reason: broken.Error()})
			continue
		case <-c.stopped:
			return fmt.Errorf("%s: %w", j.spec.Name, ErrStopped)
		}
		results, done, err := j.next()
		for _, r := range results {
			if broken != nil || j.spec.Handle == nil {
				break
			}
			if broken = guarded(func() error { return j.spec.Handle(r.i, r.value) }); broken != nil {
				c.loop.queue.put(sched.JobCancelled{Job: j.id, Reason: broken.Error()})
			}
		}
		if done {
			if broken != nil {
				err = broken
			}
			if err != nil {
				return fmt.Errorf("%s at %s: %w", j.spec.Name, j.callSite, c.loop.shown(err))
			}
			return nil
		}
	}
}

// guarded runs code of the user's on the driver: a panic in it becomes an error with the stack, as in tasks, so that it ends a job and neither
// the loop nor the program.
func guarded(do func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return do()
}
