// Package driver is where a program starts: New makes a Context, datasets are made on it, and their actions run as jobs on its
// executors.
//
// An action becomes a job; package plan cuts the job's lineage into stages at its shuffles; package sched decides which task of
// which stage runs where; a backend carries tasks to executors and their results back: the process itself (master local), or
// processes of the same executable (package cluster). One goroutine, the loop, owns all of the scheduling state: jobs, reports
// and losses reach it through a queue, and it alone acts on what the scheduler decides.
//
// In an executor's process New serves tasks and never returns: what stands before it in main runs there too, what stands after
// it does not.
//
// Invariants: a job's results reach its caller once a partition; a cancelled context ends the job and its tasks; Stop ends all jobs,
// goroutines and processes and removes all files.
package driver
