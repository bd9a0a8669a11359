package driver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spark-go/spark-go/driver/sched"
)

// Properties that group jobs, set with WithProperty, WithJobGroup or WithJobTags.
const (
	groupProperty       = "spark.jobGroup.id"
	descriptionProperty = "spark.job.description"
	tagsProperty        = "spark.job.tags" // joined by tagSeparator
	tagSeparator        = ","
)

// WithJobGroup returns a context whose jobs belong to a group, which CancelJobGroup ends, and carry a description for people.
func WithJobGroup(ctx context.Context, group, description string) context.Context {
	return WithProperty(WithProperty(ctx, groupProperty, group), descriptionProperty, description)
}

// WithJobTags returns a context whose jobs carry these tags and those that the jobs of ctx carry. CancelJobsWithTag ends all jobs that carry a tag. A job
// belongs to one group, and may have many tags: those of the libraries that call each other on its way, for instance.
//
// A tag is not empty and has no comma; actions refuse others (Spark: SparkContext.addJobTag).
func WithJobTags(ctx context.Context, tags ...string) context.Context {
	all := JobTags(ctx)
	for _, tag := range tags {
		if tag == "" || strings.Contains(tag, tagSeparator) {
			return context.WithValue(ctx, badTagKey{}, fmt.Errorf("job tag %q: a tag is not empty and has no comma", tag))
		}
		if !slices.Contains(all, tag) {
			all = append(all, tag)
		}
	}
	return withTags(ctx, all)
}

// WithoutJobTags returns a context whose jobs do not carry these tags, whatever those of ctx carry; with JobTags(ctx)... they carry none.
func WithoutJobTags(ctx context.Context, tags ...string) context.Context {
	return withTags(ctx, slices.DeleteFunc(JobTags(ctx), func(tag string) bool { return slices.Contains(tags, tag) }))
}

// JobTags are the tags that jobs of a context carry, in order.
func JobTags(ctx context.Context) []string {
	p, _ := ctx.Value(propertiesKey{}).(map[string]string)
	return tagsOf(p)
}

func withTags(ctx context.Context, tags []string) context.Context {
	slices.Sort(tags)
	return WithProperty(ctx, tagsProperty, strings.Join(tags, tagSeparator))
}

func tagsOf(properties map[string]string) []string {
	if text := properties[tagsProperty]; text != "" {
		return strings.Split(text, tagSeparator)
	}
	return nil
}

// badTagKey is where a context keeps what is wrong with its tags, for the actions that get it.
type badTagKey struct{}

// ErrCancelled is the cause of actions that CancelJobGroup, CancelJobGroupAndFutureJobs, CancelJobsWithTag or CancelAllJobs ended, and of those that
// began in a group that had been cancelled with its future jobs.
var ErrCancelled = errors.New("the job was cancelled")

// trackedJob is a running job that can be cancelled by its group or tags.
type trackedJob struct {
	group string
	tags  []string
}

// track notes a running job, unless its group has been cancelled for good; release forgets it.
func (c *Context) track(ctx context.Context, j *job) (release func(), err error) {
	if err, ok := ctx.Value(badTagKey{}).(error); ok {
		return nil, err
	}
	t := trackedJob{j.properties[groupProperty], tagsOf(j.properties)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if slices.Contains(c.endedGroups, t.group) {
		return nil, fmt.Errorf("%w: its group %q was cancelled with its future jobs", ErrCancelled, t.group)
	}
	c.groups[j] = t
	return func() {
		c.mu.Lock()
		delete(c.groups, j)
		c.mu.Unlock()
	}, nil
}

// CancelJobGroup ends the running jobs of a group.
func (c *Context) CancelJobGroup(group string) {
	c.cancel(func(t trackedJob) bool { return t.group == group }, fmt.Errorf("%w with its group %q", ErrCancelled, group))
}

// CancelJobGroupAndFutureJobs ends the running jobs of a group, and every job that is started in it from now on: a program of many jobs, such as a fit,
// ends with the one that it is at. The context remembers the last spark.scheduler.numCancelledJobGroupsToTrack groups.
func (c *Context) CancelJobGroupAndFutureJobs(group string) {
	if c.loop == nil {
		return
	}
	if group == "" { // not a group: that jobs are in none
		c.CancelJobGroup(group)
		return
	}
	c.mu.Lock()
	c.endedGroups = append(slices.DeleteFunc(c.endedGroups, func(g string) bool { return g == group }), group)
	if n := len(c.endedGroups) - c.conf.Int("spark.scheduler.numCancelledJobGroupsToTrack"); n > 0 {
		c.endedGroups = slices.Delete(c.endedGroups, 0, n)
	}
	c.mu.Unlock()
	c.CancelJobGroup(group)
}

// CancelJobsWithTag ends the running jobs that carry a tag, see WithJobTags.
func (c *Context) CancelJobsWithTag(tag string) {
	c.cancel(func(t trackedJob) bool { return slices.Contains(t.tags, tag) }, fmt.Errorf("%w with its tag %q", ErrCancelled, tag))
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
			if j.cancelled == nil {
				j.cancelled = cause
			}
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

// cancelledBefore is why a job was cancelled before the loop has come to it: it must not begin.
func (c *Context) cancelledBefore(j *job) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return j.cancelled
}
