package rdd

import (
	"fmt"
	"io"
	"sync/atomic"

	"github.com/spark-go/spark-go/shuffle"
	"github.com/spark-go/spark-go/shuffle/codec"
)

// Cartesian pairs every row of a with every row of b. Of m and n partitions it makes m*n: partition i*n+j holds the pairs of
// partition i of a and partition j of b, ordered by the row of a.
//
// Each partition of a is computed n times and each of b m times: persist what is dear. A task holds its partition of b in memory as
// far as the budget goes and beyond that on disk.
func Cartesian[T, U any](a RDD[T], b RDD[U]) RDD[Pair[T, U]] {
	n := b.node.partitions
	left := Narrow{Node: a.node, Of: func(p int) []int { return []int{p / n} }}
	right := Narrow{Node: b.node, Of: func(p int) []int { return []int{p % n} }}
	err := oneSession("Cartesian", a.node, b.node)
	return RDD[Pair[T, U]]{newNode(a.node.session, "Cartesian", cartesianOp[T, U]{a, b, n}, a.node.partitions*n, err, left, right)}
}

type cartesianOp[T, U any] struct {
	Left    RDD[T]
	Right   RDD[U]
	Columns int // partitions of Right
}

func (o cartesianOp[T, U]) Compute(t *Task, p int) (Stream[Pair[T, U]], error) {
	left, err := o.Left.Compute(t, p/o.Columns)
	if err != nil {
		return nil, err
	}
	right, err := o.Right.Compute(t, p%o.Columns)
	if err != nil {
		return nil, err
	}
	replay, err := newReplay(t, right)
	if err != nil {
		return nil, err
	}
	return &cartesianStream[T, U]{left: left, right: replay}, nil
}

type cartesianStream[T, U any] struct {
	left  Stream[T]
	right *replay[U]
	ls    []T // from the current row of the left batch on
	rs    []U // of the current batch of the right, not yet paired with ls[0]
	out   []Pair[T, U]
}

func (s *cartesianStream[T, U]) Next() ([]Pair[T, U], error) {
	s.out = s.out[:0]
	for len(s.out) < BatchRows {
		if len(s.ls) == 0 {
			rows, err := s.left.Next()
			if err == io.EOF && len(s.out) > 0 {
				return s.out, nil
			}
			if err != nil {
				return nil, err
			}
			s.ls = rows
		}
		if len(s.rs) == 0 {
			rows, err := s.right.Next()
			if err == io.EOF {
				s.ls = s.ls[1:]
				if err := s.right.rewind(); err != nil {
					return nil, err
				}
				continue
			}
			if err != nil {
				return nil, err
			}
			s.rs = rows
		}
		n := min(len(s.rs), BatchRows-len(s.out))
		for i := range n {
			s.out = append(s.out, Pair[T, U]{Key: s.ls[0], Value: s.rs[i]})
		}
		s.rs = s.rs[n:]
	}
	return s.out, nil
}

// replay is a stream that can be read again: its first rows are in memory, as many as the budget allows, the others in a file.
type replay[T any] struct {
	chunks [][]T
	file   *fileBlocks // nil if everything is in memory
	disk   decodedRows[T]
	at     int // the next chunk; len(chunks) while the file is read
}

func newReplay[T any](t *Task, in Stream[T]) (*replay[T], error) {
	c, err := codec.Of[T]()
	if err != nil {
		c = nil // rows that cannot be written stay in memory
	}
	memory := t.ShuffleEnv().Memory
	if memory == nil {
		memory = shuffle.Unlimited{}
	}
	r := &replay[T]{}
	held := int64(0)
	t.OnDone(func(bool) {
		r.chunks = nil
		memory.Release(held)
	})
	for {
		rows, err := in.Next()
		if err == io.EOF {
			return r, nil
		}
		if err != nil {
			return nil, err
		}
		if c != nil {
			need := c.MemSize(rows)
			got := memory.Acquire(need)
			held += got
			if got < need {
				r.file, err = spillRest(t, &partitionRows[T]{codec: c, batch: rows, in: in})
				r.disk = decodedRows[T]{blocks: r.file, codec: c}
				return r, err
			}
		}
		r.chunks = appendChunk(r.chunks, rows)
	}
}

// spillRest writes rows to a file of the task and opens it.
func spillRest(t *Task, rest encodedRows) (*fileBlocks, error) {
	f, err := t.ShuffleEnv().SpillDirs().Create("rows to be read again", fmt.Sprintf("replay-%d", replayNumber.Add(1)))
	if err != nil {
		return nil, err
	}
	t.OnDone(func(bool) { f.Remove() })
	if _, err := writeBlock(f, nil, t.ShuffleEnv().Key, rest); err != nil {
		return nil, err
	}
	return openBlocks(t, f.Name())
}

// replayNumber makes the names of files differ.
var replayNumber atomic.Int64

// Next implements Stream.
func (r *replay[T]) Next() ([]T, error) {
	if r.at < len(r.chunks) {
		r.at++
		return r.chunks[r.at-1], nil
	}
	if r.file == nil {
		return nil, io.EOF
	}
	return r.disk.Next()
}

// rewind starts again from the first row.
func (r *replay[T]) rewind() error {
	r.at = 0
	if r.file == nil {
		return nil
	}
	return r.file.rewind()
}
