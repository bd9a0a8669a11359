package driver

import (
	"context"
	"errors"
	"fmt"

	"github.com/spark-go/spark-go/driver/sched"
)

// Properties that group jobs, set with WithProperty or WithJobGroup.
const (
	groupProperty       = "spark.jobGroup.id"
	descriptionProperty = "spark.job.description"
)

// WithJobGroup returns a context whose jobs belong to a group, which CancelJobGroup ends, and carry a description for people.
func WithJobGroup(ctx context.Context, group, description string) context.Context {
	return WithProperty(WithProperty(ctx, groupProperty, group), descriptionProperty, description)
}

// ErrCancelled is the cause of actions that CancelJobGroup or CancelAllJobs ended.
var ErrCancelled = errors.New("the job was cancelled")

// trackedJob is a running job that can be cancelled by its group.
type trackedJob struct{ group string }

// track notes a running job; release forgets it.
func (c *Context) track(_ context.Context, j *job) (release func()) {
	c.mu.Lock()
	c.groups[j] = trackedJob{j.properties[groupProperty]}
	c.mu.Unlock()
	return func() {
		c.mu.Lock()
		delete(c.groups, j)
		c.mu.Unlock()
	}
}

// CancelJobGroup ends the running jobs of a group.
func (c *Context) CancelJobGroup(group string) {
	c.cancel(func(t trackedJob) bool { return t.group == group }, fmt.Errorf("%w with its group %q", ErrCancelled, group))
}

// CancelAllJobs ends all running jobs.
func (c *Context) CancelAllJobs() { c.cancel(func(trackedJob) bool { return true }, ErrCancelled) }

func (c *Context) cancel(which func(trackedJob) bool, cause error) {
	if c.loop == nil {
		return
	}
	c.mu.Lock()
	var ids []int
	for j, t := range c.groups {
		if which(t) {
			ids = append(ids, j.id)
		}
	}
	c.mu.Unlock()
	for _, id := range ids {
		c.loop.queue.put(ask{do: func() {
			if j := c.loop.jobs[id]; j != nil && j.err == nil {
				j.err = cause
			}
		}, done: make(chan struct{})}, sched.JobCancelled{Job: id, Reason: cause.Error()})
	}
}
