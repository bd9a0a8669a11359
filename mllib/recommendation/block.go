package recommendation

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/spark-go/spark-go/rdd"
)

// block is the ratings of one block of rows (users, say), and how its rows meet the blocks of columns (items).
//
// Columns are numbered as their vectors arrive: those of column block 0 that this block rates, by id, then those of block 1, and so
// on. Both sides derive that order from the same ratings, so vectors travel without ids.
type block[R ID] struct {
	IDs    []R       // of the rows, ascending
	Start  []int32   // row i has the ratings Start[i] to Start[i+1]-1
	Cols   []int32   // number of the column of each rating, ascending in a row
	Values []float32 // of each rating
	Arrive []int32   // Arrive[b] is the number of the first column of block b; one more at the end
	Send   [][]int32 // for each column block, the rows to send there, ascending
}

// cell is a rating on its way to a block.
type cell[R, C ID] struct {
	Row   R
	Col   C
	Value float32
}

// side says which end of a rating is the row.
type side[R, C ID, T any] interface {
	cell(T) cell[R, C]
}

type userSide[U, I ID] struct{}

func (userSide[U, I]) cell(r Rating[U, I]) cell[U, I] { return cell[U, I]{r.User, r.Item, r.Value} }

type itemSide[U, I ID] struct{}

func (itemSide[U, I]) cell(r Rating[U, I]) cell[I, U] { return cell[I, U]{r.Item, r.User, r.Value} }

// identity places block numbers.
type identity struct{ N int }

func (p identity) NumPartitions() int        { return p.N }
func (p identity) Partition(block int32) int { return int(block) }

// blocksOf hashes the ratings into blocks by row and keeps them.
func blocksOf[R, C ID, T any](ratings rdd.RDD[T], rowBlocks, colBlocks int, s side[R, C, T]) rdd.RDD[block[R]] {
	cells := rdd.New(ratings.Session(), "ALSCells", rdd.Op[rdd.Pair[int32, cell[R, C]]](cellOp[R, C, T]{Parent: ratings, Side: s, Blocks: rowBlocks}),
		ratings.NumPartitions(), nil, rdd.Narrow{Node: ratings.Node()})
	placed := rdd.PartitionBy(cells, rdd.Partitioner[int32](identity{rowBlocks}))
	blocks := rdd.New(ratings.Session(), "ALSBlocks", rdd.Op[block[R]](buildOp[R, C]{Parent: placed, Rows: rowBlocks, Cols: colBlocks}),
		rowBlocks, nil, rdd.Narrow{Node: placed.Node()})
	return blocks.Persist(rdd.MemoryAndDisk)
}

// cellOp sends each rating to the block of its row.
type cellOp[R, C ID, T any] struct {
	Parent rdd.RDD[T]
	Side   side[R, C, T]
	Blocks int
}

func (o cellOp[R, C, T]) Compute(t *rdd.Task, p int) (rdd.Stream[rdd.Pair[int32, cell[R, C]]], error) {
	in, err := o.Parent.Compute(t, p)
	if err != nil {
		return nil, err
	}
	return &cellStream[R, C, T]{op: o, in: in}, nil
}

type cellStream[R, C ID, T any] struct {
	op  cellOp[R, C, T]
	in  rdd.Stream[T]
	out []rdd.Pair[int32, cell[R, C]]
}

func (s *cellStream[R, C, T]) Next() ([]rdd.Pair[int32, cell[R, C]], error) {
	rows, err := s.in.Next()
	if err != nil {
		return nil, err
	}
	place := rdd.HashPartitioner[R]{N: s.op.Blocks}
	s.out = s.out[:0]
	for _, row := range rows {
		c := s.op.Side.cell(row)
		if v := float64(c.Value); math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("train ALS: the rating of user and item %v, %v is %v: ratings must be finite", c.Row, c.Col, c.Value)
		}
		s.out = append(s.out, rdd.Pair[int32, cell[R, C]]{Key: int32(place.Partition(c.Row)), Value: c})
	}
	return s.out, nil
}

// buildOp makes the block of a partition.
type buildOp[R, C ID] struct {
	Parent     rdd.RDD[rdd.Pair[int32, cell[R, C]]]
	Rows, Cols int // blocks
}

func (o buildOp[R, C]) Compute(t *rdd.Task, p int) (rdd.Stream[block[R]], error) {
	in, err := o.Parent.Compute(t, p)
	if err != nil {
		return nil, err
	}
	var cells []cell[R, C]
	for {
		rows, err := in.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		for i := range rows {
			cells = append(cells, rows[i].Value)
		}
	}
	return rdd.StreamOf([]block[R]{build(cells, o.Cols)}), nil
}

// build sorts the ratings of a block by row and column. Several ratings of one pair stay in the order of the input; each counts.
func build[R, C ID](cells []cell[R, C], colBlocks int) block[R] {
	slices.SortStableFunc(cells, func(a, b cell[R, C]) int { return cmp.Or(cmp.Compare(a.Row, b.Row), cmp.Compare(a.Col, b.Col)) })
	b := block[R]{Values: make([]float32, len(cells)), Cols: make([]int32, len(cells)), Arrive: make([]int32, colBlocks+1), Send: make([][]int32, colBlocks)}

	// Number the columns by (block, id).
	seen := map[C]int32{}
	cols := make([][]C, colBlocks)
	place := rdd.HashPartitioner[C]{N: colBlocks}
	for i := range cells {
		if _, ok := seen[cells[i].Col]; !ok {
			at := int32(place.Partition(cells[i].Col))
			seen[cells[i].Col] = at
			cols[at] = append(cols[at], cells[i].Col)
		}
	}
	blockOf := make([]int32, 0, len(seen)) // of each number
	for at, ids := range cols {
		slices.Sort(ids)
		for _, id := range ids {
			seen[id] = int32(len(blockOf))
			blockOf = append(blockOf, int32(at))
		}
		b.Arrive[at+1] = int32(len(blockOf))
	}

	for i := range cells {
		if i == 0 || cells[i].Row != cells[i-1].Row {
			b.IDs = append(b.IDs, cells[i].Row)
			b.Start = append(b.Start, int32(i))
		}
		row, col := int32(len(b.IDs)-1), seen[cells[i].Col]
		b.Values[i], b.Cols[i] = cells[i].Value, col
		at := blockOf[col]
		if s := b.Send[at]; len(s) == 0 || s[len(s)-1] != row {
			b.Send[at] = append(s, row)
		}
	}
	b.Start = append(b.Start, int32(len(cells)))
	return b
}
