// Package sched decides which task runs where, and what happens when something fails.
//
// The scheduler is a single-threaded state machine without transport and clock: [Scheduler.Handle] takes an event and
// the time, and returns the actions that the driver is to carry out. The same events at the same times give the same actions.
//
// # States
//
// A job runs until every wanted partition has a result, a task has failed MaxTaskFailures times, a stage could not read its
// map outputs MaxStageAttempts times in a row, or it is cancelled. Jobs that read the same shuffle share the stage that writes it.
//
// A stage is idle, waiting or active. It leaves the registry with the last job that may need it.
//
//	idle     a child lacks its outputs, all parents complete    active: StageSubmitted for the missing partitions
//	idle     a child lacks its outputs, a parent lacks some     waiting, and the same for those parents
//	waiting  a parent completed                                 active, or waiting on if another parent lacks outputs by now
//	waiting  the last missing partition came from a zombie      idle: complete
//	active   the last missing partition came                    idle: complete; waiting children are looked at again
//	active   a task cannot fetch a map output                   the attempt is a zombie; the output is forgotten; submitted again
//	active   an output of its own is lost                       active: the partition joins the attempt again
//	active   an output that it reads is lost, a task is pending the same as after a failed fetch, but not counted
//	active   one has moved, its old place goes, a task pends    the same
//	active   what it reads was rolled back, or has changed      waiting for the tasks of the attempt to end, then as idle
//	any      the last job that needs it ended                   gone: running tasks are killed
//
// A stage has at most one active attempt. A zombie attempt launches nothing, but what its running tasks produce counts, and
// takes the partition off the active attempt.
//
// A task of an attempt is pending, running or done.
//
//	pending  a slot suits                                       running: LaunchTask
//	running  succeeded                                          done; other attempts of the partition are killed
//	running  failed, or its executor's process died under it    pending; counts as a failure, the last one fails the jobs
//	running  killed, commit denied, executor taken away         pending; does not count
//	done     its map output is lost                             pending
//	pending  another attempt of the stage made its partition    done
//
// # Rollback
//
// A map output that is written again is held against the last one that counted. If its rows are others, or in another order, nothing may stand that
// was computed from the former ones: all map outputs after it, through any number of shuffles and of any job, are forgotten; attempts
// that read the shuffle or what was forgotten are void, that is zombies whose tasks are killed and whose successes do not count;
// jobs whose result reads it fail with [ChangedError] if a part of the result was handed on, and start the result stage again if none was. What is
// written again after that is not held against former outputs, since all its readers start again too.
//
// Which shuffle is computed from which is known from the plans of all jobs, with what is behind cached datasets, since cached blocks may have been computed
// from the former rows. [CachedVoid] has them dropped. As void tasks may cache such blocks until they end, no stage that reads the shuffles starts before.
//
// Several jobs that share a stage are each rolled back or failed, and a later job finds nothing of the former rows. What a program has kept of earlier
// jobs is its own. A reliable checkpoint cuts the lineage: its readers read nothing that can change. Outputs without rows and sum to compare
// with, those of an earlier run, are taken as they are.
//
// # Invariants
//
// Each partition's result is handed on once. A slot holds one attempt until that is reported as finished or the executor is
// lost; reports of attempts that are not on the books change nothing, so late and duplicated ones do no harm. Between two
// events no slot is free that a pending task would accept. A waiting stage has a parent that is waiting or active, or waits for void tasks to end, so that
// every job ends if its tasks do. All results of a job that succeeds come from one output of each map task, as far as outputs can be told apart.
//
// Differences from Spark, all on purpose: a fetch failure submits stages again at once instead of after 200 ms, since outputs
// lost meanwhile join the running attempt; a stage does not launch tasks that are bound to fail because what they read is known
// to be lost, and losses known in that way do not count against it; the locality wait measures how long slots have been idle, so that a stream of
// short local tasks cannot hold others back for ever; task attempts that became superfluous are killed.
package sched
