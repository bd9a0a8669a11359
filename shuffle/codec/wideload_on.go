//go:build !race && !msan && !asan

package codec

// wideLoads lets short texts be read by whole words; see loadShort.
const wideLoads = true
