//go:build !amd64 && !arm64

package codec

// Blocks hold numbers as they lie in memory: little endian, 64-bit int. The identifier below exists on no platform, so
// that a build for any other architecture stops here.
const _ = codec_supports_only_amd64_and_arm64
