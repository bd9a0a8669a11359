// Package linalg holds what the trainers of all models compute with: vectors and blocks of rows, which are plain data, and the dense kernels of
// their inner loops.
//
// # Kernels
//
// They work on plain slices, allocate nothing unless they say so, and are called for every row or block of a dataset: slices of the wrong shape are a
// mistake in the caller and panic, as an index out of range does. There are kernels for linear models (products of a block with a vector and its transpose,
// logistic losses), for least squares (sums of outer products, Cholesky and nonnegative solves), and for distances and scores of many vectors.
//
// # Invariants
//
//   - Each kernel is written in plain Go and, where measurement shows a gain, in AVX2 assembly, which runs where the processor has it. Both do the same operations in
//     the same order: sums run in a fixed number of lanes, and a product is rounded before it is added. So the bits of a result are the same on every machine; tests
//     and fuzzers compare them.
//   - Sums are float64, whatever the numbers are stored as, unless a kernel says otherwise.
package linalg
