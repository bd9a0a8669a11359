package rdd

import (
	"fmt"

	"github.com/spark-go/spark-go/shuffle"
)

// Aggregator folds the values of a key into a combiner; see shuffle.Aggregator.
type Aggregator[V, C any] = shuffle.Aggregator[V, C]

// shuffleBy makes the dataset whose partitions hold r's rows placed by the partitioner, folded by the aggregator where there is one.
// With mapSide each map task folds its own rows first, so that one row a key and map task crosses the shuffle.
func shuffleBy[K comparable, V, C any](r RDD[Pair[K, V]], kind string, by Partitioner[K], agg Aggregator[V, C], mapSide bool, err error) RDD[Pair[K, C]] {
	if err == nil {
		err = keyCheck[K](kind)
	}
	if err == nil {
		err = rowCheck[Pair[K, V]](kind)
	}
	if err == nil && agg != nil {
		err = rowCheck[Pair[K, C]](kind)
	}
	s := r.node.session
	dep := &Shuffle{Node: r.node, ID: s.NextShuffleID(), Partitions: by.NumPartitions()}
	dep.Writer = &pairWriter[K, V, C]{Parent: r, Shuffle: dep, By: by, Agg: agg, MapSide: mapSide && agg != nil}
	n := newNode(s, kind, &shuffledOp[K, V, C]{Shuffle: dep, Agg: agg, MapSide: mapSide && agg != nil}, dep.Partitions, err, dep)
	n.partition = by
	return RDD[Pair[K, C]]{n}
}

// pairWriter is the map side of a shuffle of pairs.
type pairWriter[K comparable, V, C any] struct {
	Parent  RDD[Pair[K, V]]
	Shuffle *Shuffle
	By      Partitioner[K]
	Agg     Aggregator[V, C]
	MapSide bool
}

// WriteMap writes the rows of partition p, each to the reduce partition of its key.
func (w *pairWriter[K, V, C]) WriteMap(t *Task, p int) (shuffle.Output, error) {
	in, err := w.Parent.Compute(t, p)
	if err != nil {
		return shuffle.Output{}, err
	}
	if !w.MapSide {
		return writePairs(t, w.Shuffle, p, w.By, in)
	}
	c, err := shuffle.NewCombiner[K, V, C](t.ctx, t.ShuffleEnv(), w.Agg)
	if err != nil {
		return shuffle.Output{}, err
	}
	defer c.Close()
	if err := each(in, c.Add); err != nil {
		return shuffle.Output{}, err
	}
	combined, err := c.Drain()
	if err != nil {
		return shuffle.Output{}, err
	}
	return writePairs(t, w.Shuffle, p, w.By, combined)
}

func writePairs[K comparable, V any](t *Task, sh *Shuffle, p int, by Partitioner[K], in Stream[Pair[K, V]]) (shuffle.Output, error) {
	place, err := newPlacer[K, V](by)
	if err != nil {
		return shuffle.Output{}, err
	}
	return writeRowsTo(t, sh, p, by.NumPartitions(), in, place.place)
}

// writeRowsTo writes a stream as one map output; place gives the reduce partition of each row of a batch.
func writeRowsTo[T any](t *Task, sh *Shuffle, p, partitions int, in Stream[T], place func([]T) ([]int32, error)) (shuffle.Output, error) {
	w, err := shuffle.NewWriter[T](t.ctx, t.ShuffleEnv(), shuffle.WriterID{Shuffle: sh.ID, Map: p, Attempt: t.ID}, partitions)
	if err != nil {
		return shuffle.Output{}, err
	}
	defer w.Abort()
	err = each(in, func(rows []T) error {
		parts, err := place(rows)
		if err != nil {
			return err
		}
		return w.Write(rows, parts)
	})
	if err != nil {
		return shuffle.Output{}, err
	}
	return w.Commit()
}

// shuffledOp is the reduce side of a shuffle of pairs.
type shuffledOp[K comparable, V, C any] struct {
	Shuffle *Shuffle
	Agg     Aggregator[V, C]
	MapSide bool
}

func (o *shuffledOp[K, V, C]) Compute(t *Task, p int) (Stream[Pair[K, C]], error) {
	if o.Agg == nil {
		return readShuffle[Pair[K, C]](t, o.Shuffle, p)
	}
	c, err := shuffle.NewCombiner[K, V, C](t.ctx, t.ShuffleEnv(), o.Agg)
	if err != nil {
		return nil, err
	}
	t.OnDone(func(bool) { c.Close() })
	if o.MapSide {
		in, err := readShuffle[Pair[K, C]](t, o.Shuffle, p)
		if err != nil {
			return nil, err
		}
		err = each(in, c.AddCombined)
		if err != nil {
			return nil, err
		}
		return c.Drain()
	}
	in, err := readShuffle[Pair[K, V]](t, o.Shuffle, p)
	if err != nil {
		return nil, err
	}
	if err := each(in, c.Add); err != nil {
		return nil, err
	}
	return c.Drain()
}

// readShuffle streams one reduce partition in map order.
func readShuffle[T any](t *Task, sh *Shuffle, p int) (Stream[T], error) {
	outs, err := t.runtime.MapOutputs(sh.ID)
	if err != nil {
		return nil, err
	}
	if t.piece.Part && t.piece.Shuffle == sh.ID {
		if t.piece.To > len(outs) {
			return nil, fmt.Errorf("shuffle %d has %d map outputs: a piece of partition %d wants those up to %d", sh.ID, len(outs), p, t.piece.To)
		}
		outs = outs[t.piece.From:t.piece.To]
	}
	return shuffle.Read[T](t.ctx, t.ShuffleEnv(), sh.ID, outs, p, p+1)
}
