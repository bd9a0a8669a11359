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
// # Invariants
//
// Each partition's result is handed on once. A slot holds one attempt until that is reported as finished or the executor is
// lost; reports of attempts that are not on the books change nothing, so late and duplicated ones do no harm. Between two
// events no slot is free that a pending task would accept. A waiting stage has a parent that is waiting or active, so that
// every job ends if its tasks do.
//
// Differences from Spark, all on purpose: a fetch failure submits stages again at once instead of after 200 ms, since outputs
// lost meanwhile join the running attempt; a stage does not launch tasks that are bound to fail because what they read is known
// to be lost, and losses known in that way do not count against it; the locality wait measures how long slots have been idle, so that a stream of
// short local tasks cannot hold others back for ever; task attempts that became superfluous are killed.
package sched
