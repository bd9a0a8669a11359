package jsonio

import "github.com/spark-go/spark-go/io/textio"

// NewDecoder is for benchmarks without an engine.
func NewDecoder[T any](o Options) textio.Decoder[T] {
	d, _ := format[T]{o}.NewDecoder() // never fails
	return d
}
