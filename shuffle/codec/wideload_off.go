//go:build race || msan || asan

package codec

// wideLoads is off where a sanitizer would take the foreign bytes that loadShort drops for a fault.
const wideLoads = false
