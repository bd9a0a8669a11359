// Package budget holds executors to their memory. Its tests run operations and trainers on inputs much larger than
// spark.executor.memory in a job process of that size and watch its resident memory; nothing imports it.
package budget
