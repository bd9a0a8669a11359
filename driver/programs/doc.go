// Package programs holds a property of the whole engine, as tests: random programs give the same rows, in the same order and partitions, in
// a plain model in memory and on every configuration of the engine, whatever is killed meanwhile.
package programs
