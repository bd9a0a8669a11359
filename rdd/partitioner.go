package rdd

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"sort"

	"github.com/spark-go/spark-go/shuffle/codec"
)

// Partitioner decides in which partition the rows of a key lie. Implementations are structs that travel. Two datasets whose
// partitioners are Equal (or, without that method, deeply equal) are co-partitioned: joining them moves no row.
type Partitioner[K any] interface {
	NumPartitions() int
	// Partition returns the partition of key, from 0 to NumPartitions()-1; the same for equal keys, in every process.
	Partition(key K) int
}

// HashPartitioner places keys by their hash, which is the same in every process and release. The zero value of N is not usable.
type HashPartitioner[K comparable] struct{ N int }

// NumPartitions returns N.
func (h HashPartitioner[K]) NumPartitions() int { return h.N }

// Partition returns hash(key) mod N.
func (h HashPartitioner[K]) Partition(key K) int {
	ops, err := codec.KeysOf[K]()
	if err != nil {
		panic(Abort{err})
	}
	return int(ops.Hash(key) % uint64(h.N))
}

// RangePartitioner places keys in ascending order: partition i holds the keys above Bounds[i-1] and up to Bounds[i]. SortBy makes
// them from a sample of the data.
type RangePartitioner[K any] struct {
	N       int
	Bounds  []K // ascending, at most N-1
	Compare func(a, b K) int
	Descend bool
	source  *origin // the sort that it was made for, which learns Bounds; nil if they are given
	natural bool    // Compare is cmp.Compare
	ready   bool    // with a source: Bounds are known
}

// origin is the number of a dataset or shuffle in a place where it is only a name: it travels, and is no part of identities.
type origin struct{ number int }

// NumPartitions returns N.
func (r *RangePartitioner[K]) NumPartitions() int { return r.N }

// Partition finds the key's range by binary search. It panics with an Abort, which fails a task, if the ranges are those of a sorted
// dataset on which no job has run: they are not known before.
func (r *RangePartitioner[K]) Partition(key K) int {
	if r.source != nil && !r.ready {
		panic(Abort{fmt.Errorf("place a key by the ranges of dataset %d before it was sorted: run an action on that one first, or make the partitioner with rdd.NewRangePartitioner", r.source.number)})
	}
	i := sort.Search(len(r.Bounds), func(i int) bool { return r.Compare(key, r.Bounds[i]) <= 0 })
	if r.Descend {
		return r.N - 1 - i
	}
	return i
}

// Equal reports whether other places every key where r does.
func (r *RangePartitioner[K]) Equal(other any) bool {
	o, ok := other.(*RangePartitioner[K])
	if !ok || o.N != r.N || o.Descend != r.Descend {
		return false
	}
	if o == r {
		return true
	}
	return r.source == nil && o.source == nil && slices.EqualFunc(r.Bounds, o.Bounds, func(a, b K) bool { return r.Compare(a, b) == 0 })
}

// samePartitioner reports whether a and b place every key alike.
func samePartitioner(a, b any) bool {
	if a == nil || b == nil {
		return false
	}
	if e, ok := a.(interface{ Equal(any) bool }); ok {
		return e.Equal(b)
	}
	return reflect.DeepEqual(a, b)
}

// partitionerOf returns where r's rows lie, if known.
func partitionerOf[K, V any](r RDD[Pair[K, V]]) Partitioner[K] {
	p, _ := r.node.partition.(Partitioner[K])
	return p
}

// PartitionerOf returns the partitioner that placed r's rows, nil if none did.
func PartitionerOf[K, V any](r RDD[Pair[K, V]]) Partitioner[K] { return partitionerOf(r) }

// choosePartitioner is Spark's rule: what the caller asked for, else the largest partitioner among the parents, if it is not far smaller
// than their number of partitions, else hashing into spark.default.parallelism partitions, else into as many as the largest parent has.
func choosePartitioner[K comparable](s Session, n []int, parents ...*Node) (Partitioner[K], error) {
	if len(n) > 1 {
		return HashPartitioner[K]{1}, fmt.Errorf("%d partition counts given: give one", len(n))
	}
	if len(n) == 1 && n[0] != 0 {
		if n[0] < 0 {
			return HashPartitioner[K]{1}, fmt.Errorf("%d partitions: ask for at least 1, or 0 for the default", n[0])
		}
		return HashPartitioner[K]{n[0]}, nil
	}
	most := 1
	var best Partitioner[K]
	for _, p := range parents {
		most = max(most, p.partitions)
		if pp, ok := p.partition.(Partitioner[K]); ok && (best == nil || pp.NumPartitions() > best.NumPartitions()) {
			best = pp
		}
	}
	def := s.DefaultPartitions()
	if best != nil && (best.NumPartitions()*10 > most || best.NumPartitions() >= max(def, 1) && def > 0) {
		return best, nil
	}
	if def > 0 {
		return HashPartitioner[K]{def}, nil
	}
	return HashPartitioner[K]{most}, nil
}

// keyCheck says why K cannot be a key.
func keyCheck[K comparable](kind string) error {
	if _, err := codec.KeysOf[K](); err != nil {
		return fail(kind, err)
	}
	return nil
}

// rowCheck says why T cannot be shuffled.
func rowCheck[T any](kind string) error {
	return fail(kind, codec.Check(reflect.TypeFor[T]()))
}

// placer finds the partitions of batches of rows.
type placer[K comparable, V any] struct {
	by     Partitioner[K]
	ops    *codec.KeyOps[K]
	hashes []uint64
	out    []int32
}

func newPlacer[K comparable, V any](by Partitioner[K]) (*placer[K, V], error) {
	ops, err := codec.KeysOf[K]()
	if err != nil {
		return nil, err
	}
	return &placer[K, V]{by: by, ops: ops}, nil
}

func (p *placer[K, V]) place(rows []Pair[K, V]) ([]int32, error) {
	p.out = resize(p.out, len(rows))
	n := p.by.NumPartitions()
	if h, ok := p.by.(HashPartitioner[K]); ok {
		p.hashes = resize(p.hashes, len(rows))
		codec.HashField(p.ops, rows, 0, p.hashes)
		m := uint64(h.N)
		if m <= 1<<32-1 && m&(m-1) == 0 {
			for i, x := range p.hashes {
				p.out[i] = int32(x & (m - 1))
			}
			return p.out, nil
		}
		for i, x := range p.hashes {
			p.out[i] = int32(x % m)
		}
		return p.out, nil
	}
	for i := range rows {
		d := p.by.Partition(rows[i].Key)
		if d < 0 || d >= n {
			return nil, fmt.Errorf("%T put key %v in partition %d of %d", p.by, rows[i].Key, d, n)
		}
		p.out[i] = int32(d)
	}
	return p.out, nil
}

// compareOrdered is cmp.Compare as a value that travels.
type compareOrdered[K cmp.Ordered] struct{}

func (compareOrdered[K]) Call(a, b K) int { return cmp.Compare(a, b) }
