package rdd

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"weak"

	"github.com/spark-go/spark-go/rdd/closure"
	"github.com/spark-go/spark-go/shuffle/codec"
)

// variable is what a Broadcast or an Accumulator refers to. It travels as its number.
type variable struct {
	id         int
	kind       variableKind
	remote     bool // read back in an executor
	broadcasts Broadcasts
	task       *Task // accumulators in executors: whose updates these are
	withdrawn  atomic.Bool

	mu    sync.Mutex
	value any // driver: the value; executor: the cached broadcast or the *accumulated of the task
	name  string
	sum   *[sha256.Size]byte // of a broadcast's value; nil until somebody asks
}

type variableKind uint8

const (
	broadcastVariable variableKind = iota
	accumulatorVariable
)

// Broadcast is a read-only value that every executor fetches once, in blocks, instead of once a task. Bind it like any other value
// and call Value inside the function.
type Broadcast[T any] struct{ v *variable }

// NewBroadcast publishes a value to the executors. Functions must not change it. The value travels as functions' environments do:
// see package closure for what it may hold.
func NewBroadcast[T any](s Session, value T) (Broadcast[T], error) {
	v := &variable{id: s.NextVariableID(), kind: broadcastVariable, value: value}
	err := s.Publish(v.id, value, func() ([]byte, error) { return (&closure.Codec{}).Encode(nil, value) })
	if err != nil {
		return Broadcast[T]{}, fail("NewBroadcast", err)
	}
	trackVariable(s, v)
	return Broadcast[T]{v}, nil
}

// ID is the variable's number in the application.
func (b Broadcast[T]) ID() int { return b.v.id }

// Value returns the value. In a task the first call in a process fetches it; if that is impossible the task fails.
func (b Broadcast[T]) Value() T {
	v := b.v
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.value == nil && v.remote {
		got, err := v.broadcasts.Broadcast(context.Background(), v.id, func(b []byte) (any, error) {
			val, _, err := (&closure.Codec{}).Decode(b)
			return val, err
		})
		if err != nil {
			panic(Abort{fmt.Errorf("fetch broadcast %d: %w", v.id, err)})
		}
		v.value = got
	}
	val, _ := v.value.(T)
	return val
}

// Destroy forgets the value on the executors and the driver. Tasks that use it afterwards fail.
func (b Broadcast[T]) Destroy(s Session) {
	b.v.withdrawn.Store(true)
	s.Withdraw(b.v.id)
}

// Abort is the value of a panic that fails a task with Err and no stack: how code without an error result, such as Broadcast.Value,
// reports what went wrong. The task runner recovers it.
type Abort struct{ Err error }

// Accumulator gathers values that tasks add and the driver reads, such as counts of bad rows. What an attempt added counts
// once, when its task succeeds in a job's last stage or writes a shuffle; a stage that runs again after a loss counts again only for
// the tasks that ran again. Updates of one stage are merged in partition order.
type Accumulator[T any] struct {
	v     *variable
	zero  T
	merge func(T, T) T
}

// NewAccumulator makes an accumulator that starts at zero and merges with merge, a function that captures nothing, is associative
// and has zero as its neutral element.
func NewAccumulator[T any](s Session, name string, zero T, merge func(T, T) T) (Accumulator[T], error) {
	if err := checkFuncs("NewAccumulator", merge); err != nil {
		return Accumulator[T]{}, err
	}
	c, err := codec.Of[T]()
	if err != nil {
		return Accumulator[T]{}, fail("NewAccumulator", err)
	}
	a := Accumulator[T]{v: &variable{id: s.NextVariableID(), kind: accumulatorVariable, name: name, value: zero}, zero: zero, merge: merge}
	// The session must not keep an accumulator alive that the program has forgotten.
	id, v := a.v.id, weak.Make(a.v)
	s.Register(id, func(update []byte) error {
		rows, _, err := c.Decode(nil, update)
		if err != nil || len(rows) != 1 {
			return fmt.Errorf("accumulator %d: bad update: %w", id, err)
		}
		if v := v.Value(); v != nil {
			Accumulator[T]{v: v, zero: zero, merge: merge}.add(rows[0])
		}
		return nil
	})
	trackVariable(s, a.v)
	return a, nil
}

// LongAccumulator makes an accumulator that sums integers.
func LongAccumulator(s Session, name string) (Accumulator[int64], error) {
	return NewAccumulator(s, name, 0, addInt64)
}

// DoubleAccumulator makes an accumulator that sums floating-point numbers.
func DoubleAccumulator(s Session, name string) (Accumulator[float64], error) {
	return NewAccumulator(s, name, 0, addFloat64)
}

func addInt64(a, b int64) int64       { return a + b }
func addFloat64(a, b float64) float64 { return a + b }

// CollectionAccumulator gathers the values themselves, those of each stage in partition order.
type CollectionAccumulator[T any] struct{ list Accumulator[[]T] }

// NewCollectionAccumulator makes an empty collection.
func NewCollectionAccumulator[T any](s Session, name string) (CollectionAccumulator[T], error) {
	a, err := NewAccumulator(s, name, nil, Call2(concat[T]{}))
	return CollectionAccumulator[T]{a}, err
}

type concat[T any] struct{}

func (concat[T]) Call(a, b []T) []T { return append(a, b...) }

// Add appends one value.
func (a CollectionAccumulator[T]) Add(x T) { a.list.Add([]T{x}) }

// Value returns a copy of what was gathered.
func (a CollectionAccumulator[T]) Value() []T { return slices.Clone(a.list.Value()) }

// accumulated is what one task added so far.
type accumulated[T any] struct{ sum T }

func (a *accumulated[T]) encode() ([]byte, error) {
	c, err := codec.Of[T]()
	if err != nil {
		return nil, err
	}
	return c.Append(nil, []T{a.sum})
}

// Add adds x: in a task to the task's own sum, on the driver to the total.
func (a Accumulator[T]) Add(x T) {
	if !a.v.remote {
		a.add(x)
		return
	}
	a.v.mu.Lock()
	defer a.v.mu.Unlock()
	acc, ok := a.v.value.(*accumulated[T])
	if !ok {
		acc = &accumulated[T]{a.zero}
		a.v.value = acc
	}
	acc.sum = a.merge(acc.sum, x)
}

func (a Accumulator[T]) add(x T) {
	a.v.mu.Lock()
	defer a.v.mu.Unlock()
	sum, _ := a.v.value.(T)
	a.v.value = a.merge(sum, x)
}

// Value is the total on the driver; in a task, what the task added so far.
func (a Accumulator[T]) Value() T {
	a.v.mu.Lock()
	defer a.v.mu.Unlock()
	switch v := a.v.value.(type) {
	case *accumulated[T]:
		return v.sum
	case T:
		return v
	}
	return a.zero
}

// Name is what the accumulator is called in the web UI.
func (a Accumulator[T]) Name() string { return a.v.name }

// Reset sets the driver's total back to zero.
func (a Accumulator[T]) Reset() {
	a.v.mu.Lock()
	a.v.value = a.zero
	a.v.mu.Unlock()
}

// updates encodes what the task's accumulators gathered, by number.
func (x *Executable) updates(res *Result) error {
	ids := make([]int, 0, len(x.variables))
	for id, v := range x.variables {
		if v.kind == accumulatorVariable {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	for _, id := range ids {
		acc, ok := x.variables[id].value.(interface{ encode() ([]byte, error) })
		if !ok {
			continue
		}
		b, err := acc.encode()
		if err != nil {
			return fmt.Errorf("encode accumulator %d: %w", id, err)
		}
		res.Updates = append(res.Updates, Update{id, b})
	}
	return nil
}
