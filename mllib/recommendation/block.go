package recommendation

import (
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/spark-go/spark-go/rdd"
)

// block is the ratings of one block of rows (users, say), and how its rows meet the blocks of columns (items).
//
// Columns are numbered as their vectors arrive: those of column block 0 that this block rates, by id, then those of block 1, and so
// on. Both sides know that order, so vectors travel without ids.
type block[R, C ID] struct {
	IDs    []R       // of the rows, ascending
	Start  []int32   // row i has the ratings Start[i] to Start[i+1]-1
	Cols   []int32   // number of the column of each rating, ascending in a row
	Values []float32 // of each rating
	Arrive []int32   // Arrive[b] is the number of the first column of block b; one more at the end
	Send   [][]int32 // for each column block, the rows to send there, ascending
	ColIDs []C       // of the columns in a block of users, by which those of items are made; nil there
}

// chunk is ratings on their way to a block of users.
type chunk[U, I ID] struct {
	Users  column[U]
	Items  column[I]
	Values values
}

// column is ids on their way: whole numbers that lie less than 2³² apart as their distances from the lowest.
type column[R ID] struct {
	Base R
	Near numbers
	Far  []R
}

// chunkRatings is how many ratings travel together.
const chunkRatings = 8192

// edges is the ratings of the users of one block for the items of another, by item and user.
type edges[I ID] struct {
	From   int32
	IDs    []I     // of the items, ascending
	Counts []int32 // ratings of each
	Rows   numbers // of each rating, the user's place in the list of users that the block sends to the other
	Values values  // of each rating
	Users  int32   // length of that list
}

// byBlock places block numbers.
type byBlock struct{ N int }

func (p byBlock) NumPartitions() int        { return p.N }
func (p byBlock) Partition(block int32) int { return int(block) }

// blocksOf hashes users and items into blocks. The ratings cross a shuffle as they come to make the blocks of users, and another one,
// in order and without the users' ids, to make those of items.
func blocksOf[U, I ID](ratings rdd.RDD[Rating[U, I]], userBlocks, itemBlocks int) (users rdd.RDD[block[U, I]], items rdd.RDD[block[I, U]]) {
	s := ratings.Session()
	chunks := rdd.New(s, "ALSRatings", rdd.Op[rdd.Pair[int32, chunk[U, I]]](chunkOp[U, I]{Parent: ratings, Blocks: userBlocks}),
		ratings.NumPartitions(), nil, rdd.Narrow{Node: ratings.Node()})
	placed := rdd.PartitionBy(chunks, rdd.Partitioner[int32](byBlock{userBlocks}))
	users = rdd.New(s, "ALSUsers", rdd.Op[block[U, I]](userOp[U, I]{Parent: placed, Items: itemBlocks}), userBlocks, nil, rdd.Narrow{Node: placed.Node()})
	ends := rdd.New(s, "ALSEdges", rdd.Op[rdd.Pair[int32, edges[I]]](edgesOp[U, I]{Parent: users}), userBlocks, nil, rdd.Narrow{Node: users.Node()})
	met := rdd.PartitionBy(ends, rdd.Partitioner[int32](byBlock{itemBlocks}))
	items = rdd.New(s, "ALSItems", rdd.Op[block[I, U]](itemOp[U, I]{Parent: met, Users: userBlocks}), itemBlocks, nil, rdd.Narrow{Node: met.Node()})
	return users, items
}

// chunkOp sends each rating to the block of its user.
type chunkOp[U, I ID] struct {
	Parent rdd.RDD[Rating[U, I]]
	Blocks int
}

func (o chunkOp[U, I]) Compute(t *rdd.Task, p int) (rdd.Stream[rdd.Pair[int32, chunk[U, I]]], error) {
	in, err := o.Parent.Compute(t, p)
	if err != nil {
		return nil, err
	}
	return &chunkStream[U, I]{in: in, partition: p, open: make([]open[U, I], o.Blocks)}, nil
}

type chunkStream[U, I ID] struct {
	in        rdd.Stream[Rating[U, I]]
	partition int
	row       int64
	open      []open[U, I] // of each block
	out       []rdd.Pair[int32, chunk[U, I]]
	ended     bool
}

// open is a chunk that is being filled.
type open[U, I ID] struct {
	users  []U
	items  []I
	values []float32
}

// take copies the ratings into a chunk and empties o.
func (o *open[U, I]) take() chunk[U, I] {
	c := chunk[U, I]{packed(o.users), packed(o.items), valuesOf(o.values)}
	o.users, o.items, o.values = o.users[:0], o.items[:0], o.values[:0]
	return c
}

func (s *chunkStream[U, I]) Next() ([]rdd.Pair[int32, chunk[U, I]], error) {
	s.out = s.out[:0]
	for len(s.out) == 0 {
		if s.ended {
			return nil, io.EOF
		}
		rows, err := s.in.Next()
		if err == io.EOF {
			s.ended = true
			for b := range s.open {
				if len(s.open[b].values) > 0 {
					s.out = append(s.out, rdd.Pair[int32, chunk[U, I]]{Key: int32(b), Value: s.open[b].take()})
				}
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		for i := range rows {
			r := &rows[i]
			if r.Value-r.Value != 0 {
				return nil, fmt.Errorf("train ALS: row %d of partition %d, the rating of user %v for item %v, is %v: ratings must be finite; filter the others out",
					s.row+int64(i), s.partition, r.User, r.Item, r.Value)
			}
			b := place(r.User, len(s.open))
			o := &s.open[b]
			o.users, o.items, o.values = append(o.users, r.User), append(o.items, r.Item), append(o.values, r.Value)
			if len(o.values) == chunkRatings {
				s.out = append(s.out, rdd.Pair[int32, chunk[U, I]]{Key: int32(b), Value: o.take()})
			}
		}
		s.row += int64(len(rows))
	}
	return s.out, nil
}

// errBlockSize is returned for blocks whose ratings do not have numbers of 32 bits.
var errBlockSize = errors.New("train ALS: a block has more than 2,147,483,647 ratings: set NumUserBlocks and NumItemBlocks higher")

// userOp makes the block of users of a partition.
type userOp[U, I ID] struct {
	Parent rdd.RDD[rdd.Pair[int32, chunk[U, I]]]
	Items  int // blocks
}

func (o userOp[U, I]) Compute(t *rdd.Task, p int) (rdd.Stream[block[U, I]], error) {
	in, err := o.Parent.Compute(t, p)
	if err != nil {
		return nil, err
	}
	held := t.Hold()
	defer held.Release()
	var chunks []chunk[U, I]
	n := 0
	err = rdd.EachBatch(t, in, func(rows []rdd.Pair[int32, chunk[U, I]]) error {
		more := 0
		for i := range rows {
			chunks = append(chunks, rows[i].Value)
			more += rows[i].Value.Values.len()
		}
		n += more
		held.Add(packedRating * int64(more))
		return nil
	})
	if err != nil {
		return nil, err
	}
	if n > math.MaxInt32 {
		return nil, errBlockSize
	}
	held.Add(buildRating * int64(n))
	all := open[U, I]{make([]U, 0, n), make([]I, 0, n), make([]float32, 0, n)}
	for i, c := range chunks {
		all.users, all.items, all.values = c.Users.appendTo(all.users), c.Items.appendTo(all.items), c.Values.appendTo(all.values)
		chunks[i] = chunk[U, I]{}
	}
	return rdd.StreamOf([]block[U, I]{buildUsers(all, o.Items)}), nil
}

// What ratings take in memory while blocks are made of them, in bytes each: that is booked, so that cached blocks make way in time.
const (
	packedRating = 6  // as they travel: numbers of 16 or 32 bits, and values
	buildRating  = 32 // unpacked, numbered, ordered, and in a block
	blockRating  = 8  // in a block
)

// buildUsers orders ratings by user and column. Several ratings of one pair stay in the order of the input, and each counts.
func buildUsers[U, I ID](c open[U, I], itemBlocks int) block[U, I] {
	ids, row := number(c.users)
	items, col := number(c.items)
	c.users, c.items = nil, nil // no longer needed, and large
	b := block[U, I]{IDs: ids}

	// Number the columns by block and id.
	at := make([]int32, len(items))
	for i, id := range items {
		at[i] = int32(place(id, itemBlocks))
	}
	b.Arrive = starts(at, itemBlocks)
	b.ColIDs = make([]I, len(items))
	next := append([]int32(nil), b.Arrive...)
	for i, id := range items {
		n := next[at[i]]
		next[at[i]]++
		b.ColIDs[n] = id
		at[i] = n
	}
	for i, n := range col {
		col[i] = at[n]
	}

	// Order by column, then by row, which leaves the columns of a row in order.
	next = starts(col, len(items))
	order := make([]int32, len(col))
	for i, n := range col {
		order[next[n]] = int32(i)
		next[n]++
	}
	b.Start = starts(row, len(ids))
	next = append(next[:0], b.Start...)
	b.Cols, b.Values = make([]int32, len(col)), make([]float32, len(col))
	for _, i := range order {
		to := next[row[i]]
		next[row[i]]++
		b.Cols[to], b.Values[to] = col[i], c.values[i]
	}

	b.Send = make([][]int32, itemBlocks)
	for r := range ids {
		k, end := b.Start[r], b.Start[r+1]
		for to := 0; k < end; to++ {
			if b.Cols[k] < b.Arrive[to+1] {
				b.Send[to] = append(b.Send[to], int32(r))
				for k < end && b.Cols[k] < b.Arrive[to+1] {
					k++
				}
			}
		}
	}
	return b
}

// edgesOp sends the ratings of a block of users to the blocks of their items.
type edgesOp[U, I ID] struct{ Parent rdd.RDD[block[U, I]] }

func (o edgesOp[U, I]) Compute(t *rdd.Task, p int) (rdd.Stream[rdd.Pair[int32, edges[I]]], error) {
	b, err := only(o.Parent, t, p)
	if err != nil {
		return nil, err
	}
	t.Hold().Add((blockRating + packedRating) * int64(len(b.Cols))) // until they are written
	return rdd.StreamOf(edgesOf(&b, p)), nil
}

// edgesOf orders the ratings of block p of users by column.
func edgesOf[U, I ID](b *block[U, I], p int) []rdd.Pair[int32, edges[I]] {
	next := starts(b.Cols, len(b.ColIDs))
	begin := append([]int32(nil), next...)
	rows, values := make([]int32, len(b.Cols)), make([]float32, len(b.Cols))
	sent := make([]int32, len(b.Send)) // users that each block has been sent so far
	for r := range b.IDs {
		k, end := b.Start[r], b.Start[r+1]
		for to := 0; k < end; to++ {
			if b.Cols[k] >= b.Arrive[to+1] {
				continue
			}
			for ; k < end && b.Cols[k] < b.Arrive[to+1]; k++ {
				n := next[b.Cols[k]]
				next[b.Cols[k]]++
				rows[n], values[n] = sent[to], b.Values[k]
			}
			sent[to]++
		}
	}
	out := make([]rdd.Pair[int32, edges[I]], len(b.Send))
	for to := range out {
		lo, hi := b.Arrive[to], b.Arrive[to+1]
		counts := make([]int32, hi-lo)
		for i := range counts {
			counts[i] = begin[int(lo)+i+1] - begin[int(lo)+i]
		}
		mine := rows[begin[lo]:begin[hi]]
		out[to] = rdd.Pair[int32, edges[I]]{Key: int32(to), Value: edges[I]{
			From: int32(p), IDs: b.ColIDs[lo:hi], Counts: counts, Users: sent[to],
			Rows:   numbersOf(len(mine), uint64(sent[to]), func(i int) uint32 { return uint32(mine[i]) }),
			Values: valuesOf(values[begin[lo]:begin[hi]]),
		}}
	}
	return out
}

// itemOp makes the block of items of a partition.
type itemOp[U, I ID] struct {
	Parent rdd.RDD[rdd.Pair[int32, edges[I]]]
	Users  int // blocks
}

func (o itemOp[U, I]) Compute(t *rdd.Task, p int) (rdd.Stream[block[I, U]], error) {
	in, err := o.Parent.Compute(t, p)
	if err != nil {
		return nil, err
	}
	held := t.Hold()
	defer held.Release()
	parts := make([]edges[I], o.Users)
	err = rdd.EachBatch(t, in, func(rows []rdd.Pair[int32, edges[I]]) error {
		more := 0
		for i := range rows {
			parts[rows[i].Value.From] = rows[i].Value
			more += rows[i].Value.Values.len()
		}
		held.Add((packedRating + blockRating) * int64(more))
		return nil
	})
	if err != nil {
		return nil, err
	}
	b, err := buildItems[U](parts)
	if err != nil {
		return nil, err
	}
	return rdd.StreamOf([]block[I, U]{b}), nil
}

// buildItems joins what the blocks of users sent, in their order: the columns of a row come out ascending.
func buildItems[U, I ID](parts []edges[I]) (block[I, U], error) {
	b := block[I, U]{Arrive: make([]int32, len(parts)+1), Send: make([][]int32, len(parts))}
	var all []I
	total := 0
	for from := range parts {
		all = append(all, parts[from].IDs...)
		total += parts[from].Values.len()
		b.Arrive[from+1] = b.Arrive[from] + parts[from].Users
	}
	if total > math.MaxInt32 {
		return b, errBlockSize
	}
	ids, codes := number(all)
	b.IDs, b.Start = ids, make([]int32, len(ids)+1)
	rest := codes
	for from := range parts {
		b.Send[from], rest = rest[:len(parts[from].IDs)], rest[len(parts[from].IDs):]
		for i, n := range parts[from].Counts {
			b.Start[b.Send[from][i]+1] += n
		}
	}
	for r := range ids {
		b.Start[r+1] += b.Start[r]
	}
	next := append([]int32(nil), b.Start...)
	b.Cols, b.Values = make([]int32, total), make([]float32, total)
	var values []float32
	var rows []int32
	for from := range parts {
		part, k := &parts[from], 0
		values = part.Values.appendTo(values[:0])
		rows = appendFar(appendFar(rows[:0], b.Arrive[from], part.Rows.Short), b.Arrive[from], part.Rows.Long)
		for i, n := range part.Counts {
			to := int(next[b.Send[from][i]])
			next[b.Send[from][i]] += n
			copy(b.Values[to:], values[k:k+int(n)])
			copy(b.Cols[to:], rows[k:k+int(n)])
			k += int(n)
		}
	}
	return b, nil
}

// only reads the single row of a partition.
func only[T any](r rdd.RDD[T], t *rdd.Task, p int) (T, error) {
	var zero T
	in, err := r.Compute(t, p)
	if err != nil {
		return zero, err
	}
	rows, err := in.Next()
	if err == io.EOF {
		return zero, errors.New("a block's partition is empty")
	}
	if err != nil {
		return zero, err
	}
	return rows[0], nil
}
