package recommendation

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math"
	"math/rand/v2"
	"strconv"

	"github.com/spark-go/spark-go/mllib/linalg"
	"github.com/spark-go/spark-go/rdd"
)

// factors is the vectors of a block's rows, one after the other.
type factors struct{ Data []float32 }

// message is the vectors that one block sends to another.
type message struct {
	From int32
	Data []float32
	Gram []float64 // with implicit preferences: Σ x·xᵀ over all rows of the sending block, lower triangle
}

// only reads the single row of a block's partition.
func only[T any](in rdd.Stream[T]) (T, error) {
	rows, err := in.Next()
	if err != nil {
		var zero T
		if err == io.EOF {
			err = errors.New("a block's partition is empty")
		}
		return zero, err
	}
	return rows[0], nil
}

// initOp makes the first vectors: of each row a random direction of length one, from a generator seeded by the seed and the row's id,
// so that they do not depend on the blocks.
type initOp[R ID] struct {
	Blocks rdd.RDD[block[R]]
	Rank   int
	Seed   int64
}

func (o initOp[R]) Compute(t *rdd.Task, p int) (rdd.Stream[factors], error) {
	in, err := o.Blocks.Compute(t, p)
	if err != nil {
		return nil, err
	}
	b, err := only(in)
	if err != nil {
		return nil, err
	}
	data := make([]float32, len(b.IDs)*o.Rank)
	for i, id := range b.IDs {
		gen := rand.New(rand.NewPCG(uint64(o.Seed), seedOf(id)))
		row := data[i*o.Rank : (i+1)*o.Rank]
		norm := 0.0
		for k := range row {
			v := gen.NormFloat64()
			row[k] = float32(v)
			norm += v * v
		}
		norm = math.Sqrt(norm)
		for k := range row {
			row[k] = float32(float64(row[k]) / norm)
		}
	}
	return rdd.StreamOf([]factors{{data}}), nil
}

// seedOf is a number made of an id, the same in every process.
func seedOf[R ID](id R) uint64 {
	switch v := any(id).(type) {
	case int32:
		return uint64(v)
	case int64:
		return uint64(v)
	default:
		h := fnv.New64a()
		_, _ = io.WriteString(h, any(id).(string))
		return h.Sum64()
	}
}

// halfStep computes the vectors of the rows in to from those of the rows in from.
func halfStep[R, C ID](from rdd.RDD[block[R]], vectors rdd.RDD[factors], to rdd.RDD[block[C]], set solver, toBlocks int) rdd.RDD[factors] {
	s := from.Session()
	sent := rdd.New(s, "ALSSend", rdd.Op[rdd.Pair[int32, message]](sendOp[R]{Blocks: from, Vectors: vectors, Set: set}), from.NumPartitions(), nil,
		rdd.Narrow{Node: from.Node()}, rdd.Narrow{Node: vectors.Node()})
	received := rdd.PartitionBy(sent, rdd.Partitioner[int32](identity{toBlocks}))
	return rdd.New(s, "ALSSolve", rdd.Op[factors](solveOp[C]{Blocks: to, Messages: received, Set: set}), toBlocks, nil,
		rdd.Narrow{Node: to.Node()}, rdd.Narrow{Node: received.Node()})
}

// sendOp sends each block of the other side the vectors that it needs.
type sendOp[R ID] struct {
	Blocks  rdd.RDD[block[R]]
	Vectors rdd.RDD[factors]
	Set     solver
}

func (o sendOp[R]) Compute(t *rdd.Task, p int) (rdd.Stream[rdd.Pair[int32, message]], error) {
	b, v, err := both(t, p, o.Blocks, o.Vectors)
	if err != nil {
		return nil, err
	}
	rank := o.Set.Rank
	var gram []float64
	if o.Set.Implicit {
		gram = make([]float64, rank*rank)
		none := make([]float64, rank)
		for i := range b.IDs {
			linalg.AddOuter(gram, none, v.Data[i*rank:(i+1)*rank], 1, 0)
		}
	}
	out := make([]rdd.Pair[int32, message], len(b.Send))
	for to, rows := range b.Send {
		data := make([]float32, 0, len(rows)*rank)
		for _, i := range rows {
			data = append(data, v.Data[int(i)*rank:(int(i)+1)*rank]...)
		}
		out[to] = rdd.Pair[int32, message]{Key: int32(to), Value: message{From: int32(p), Data: data, Gram: gram}}
	}
	return rdd.StreamOf(out), nil
}

// both reads a block and the vectors of its rows.
func both[R ID](t *rdd.Task, p int, blocks rdd.RDD[block[R]], vectors rdd.RDD[factors]) (b block[R], v factors, err error) {
	in, err := blocks.Compute(t, p)
	if err != nil {
		return b, v, err
	}
	if b, err = only(in); err != nil {
		return b, v, err
	}
	vin, err := vectors.Compute(t, p)
	if err != nil {
		return b, v, err
	}
	v, err = only(vin)
	return b, v, err
}

// solver is the least squares problem of a row.
type solver struct {
	Rank        int
	RegParam    float64
	Implicit    bool
	Alpha       float64
	Nonnegative bool
}

// solveOp computes the vectors of a block from what it received.
type solveOp[R ID] struct {
	Blocks   rdd.RDD[block[R]]
	Messages rdd.RDD[rdd.Pair[int32, message]]
	Set      solver
}

func (o solveOp[R]) Compute(t *rdd.Task, p int) (rdd.Stream[factors], error) {
	in, err := o.Blocks.Compute(t, p)
	if err != nil {
		return nil, err
	}
	b, err := only(in)
	if err != nil {
		return nil, err
	}
	rank := o.Set.Rank
	received := make([]float32, int(b.Arrive[len(b.Arrive)-1])*rank)
	gram := make([]float64, rank*rank)
	msgs, err := o.Messages.Compute(t, p)
	if err != nil {
		return nil, err
	}
	for {
		rows, err := msgs.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		for i := range rows {
			m := &rows[i].Value
			lo, hi := int(b.Arrive[m.From])*rank, int(b.Arrive[m.From+1])*rank
			if len(m.Data) != hi-lo {
				return nil, fmt.Errorf("train ALS: block %d sent %d numbers to block %d, which expects %d: the ratings changed while training; cache or checkpoint them", m.From, len(m.Data), p, hi-lo)
			}
			copy(received[lo:hi], m.Data)
			for k, g := range m.Gram {
				gram[k] += g
			}
		}
	}
	return o.solve(t.Context(), &b, received, gram)
}

// solve computes the vector of each row: (Σ x·xᵀ + λ·n·I)·v = Σ r·x over its n ratings r of columns x; with implicit preferences
// Spark's weights: c = α·|r|, and only ratings above zero count in n and in the right side.
func (o solveOp[R]) solve(ctx context.Context, b *block[R], received []float32, gram []float64) (rdd.Stream[factors], error) {
	rank, set := o.Set.Rank, o.Set
	out := make([]float32, len(b.IDs)*rank)
	a, rhs := make([]float64, rank*rank), make([]float64, rank)
	x, grad := make([]float64, rank), make([]float64, rank)
	for i := range b.IDs {
		if i%1024 == 0 && ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if set.Implicit {
			copy(a, gram)
		} else {
			clear(a)
		}
		clear(rhs)
		n := 0
		for k := b.Start[i]; k < b.Start[i+1]; k++ {
			col := received[int(b.Cols[k])*rank : (int(b.Cols[k])+1)*rank]
			r := float64(b.Values[k])
			w, c := 1.0, r
			if set.Implicit {
				w, c = set.Alpha*math.Abs(r), 0
				if r > 0 {
					c = 1 + w
					n++
				}
			} else {
				n++
			}
			linalg.AddOuter(a, rhs, col, w, c)
		}
		for k := range rank {
			a[k*rank+k] += set.RegParam * float64(n)
		}
		v := rhs
		var ok bool
		if set.Nonnegative {
			ok = linalg.SolveNonnegative(a, rhs, x, grad)
			v = x
		} else {
			ok = linalg.SolveSPD(a, rhs)
		}
		if !ok {
			return nil, fmt.Errorf("train ALS: the ratings of %v do not determine its %d numbers: set RegParam above 0 (it is %s) or a smaller Rank",
				b.IDs[i], rank, strconv.FormatFloat(set.RegParam, 'g', -1, 64))
		}
		for k := range rank {
			out[i*rank+k] = float32(v[k])
		}
	}
	return rdd.StreamOf([]factors{{out}}), nil
}

// collect brings the vectors of one side to the driver, in the order of blocks and ids.
func collect[R ID](ctx context.Context, blocks rdd.RDD[block[R]], vectors rdd.RDD[factors]) ([]R, []float32, error) {
	joined := rdd.New(blocks.Session(), "ALSCollect", rdd.Op[named[R]](nameOp[R]{Blocks: blocks, Vectors: vectors}), blocks.NumPartitions(), nil,
		rdd.Narrow{Node: blocks.Node()}, rdd.Narrow{Node: vectors.Node()})
	parts, err := joined.Collect(ctx)
	if err != nil {
		return nil, nil, err
	}
	var ids []R
	var data []float32
	for _, p := range parts {
		ids = append(ids, p.IDs...)
		data = append(data, p.Data...)
	}
	return ids, data, nil
}

type named[R ID] struct {
	IDs  []R
	Data []float32
}

type nameOp[R ID] struct {
	Blocks  rdd.RDD[block[R]]
	Vectors rdd.RDD[factors]
}

func (o nameOp[R]) Compute(t *rdd.Task, p int) (rdd.Stream[named[R]], error) {
	b, v, err := both(t, p, o.Blocks, o.Vectors)
	if err != nil {
		return nil, err
	}
	return rdd.StreamOf([]named[R]{{b.IDs, v.Data}}), nil
}
