package rdd

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"reflect"

	"github.com/spark-go/spark-go/rdd/closure"
)

// Identity says what the rows of a dataset, or the map outputs of a shuffle, depend on, across runs of one executable: two with the same
// identity hold the same rows in the same partitions. It is a digest of the operation, as it travels, of its input splits (of
// files: name, size and time), of broadcasts by their values, and of the identities of what it is computed from. Numbers of datasets and
// shuffles and how datasets are kept are not part of it.
type Identity struct {
	sum [sha256.Size]byte
	// Counted says that computing it adds to accumulators: an application that takes kept rows instead would miss that.
	Counted bool
}

// String returns the digest in hexadecimal.
func (id Identity) String() string { return hex.EncodeToString(id.sum[:]) }

// Identity returns the identity of r. What must run before the first job, such as the sampling of a sort, must have run.
func (r RDD[T]) Identity() (string, error) {
	id, err := r.node.Identity()
	return id.String(), err
}

// Identity returns the identity of the dataset. It is computed once for each dataset, parents first and without recursion.
func (n *Node) Identity() (Identity, error) {
	lines := map[*Node]*lineage{}
	nodes := ancestors(n, true, func(n *Node) []Dependency {
		line := n.line.Load()
		lines[n] = line
		if line.identity.Load() != nil {
			return nil
		}
		return line.deps
	})
	for _, n := range nodes {
		line := lines[n]
		if line.identity.Load() != nil {
			continue
		}
		id, err := n.identify(line)
		if err != nil {
			return Identity{}, fmt.Errorf("identify %v: %w", n, err)
		}
		line.identity.Store(&id)
	}
	return *lines[n].identity.Load(), nil
}

// identify computes the identity of a dataset whose parents have theirs.
func (n *Node) identify(line *lineage) (id Identity, err error) {
	e := newIdentifier("dataset")
	e.number(n.partitions)
	e.nodes[n] = 0
	for i, d := range line.deps {
		switch d := d.(type) {
		case *Shuffle:
			for s := d; s != nil; s = s.was {
				e.shuffles[s] = i
			}
			got, err := d.Identity()
			if err != nil {
				return id, err
			}
			e.add(got)
		case Narrow:
			parent := d.Node.line.Load().identity.Load()
			if parent == nil {
				return id, fmt.Errorf("its parent %v changed meanwhile", d.Node)
			}
			e.nodes[d.Node] = i + 1
			e.add(*parent)
			if d.Of != nil {
				for p := range n.partitions {
					parents := d.Of(p)
					e.number(len(parents))
					for _, q := range parents {
						e.number(q)
					}
				}
			}
		default:
			return id, fmt.Errorf("its dependency is a %T", d)
		}
	}
	if err := e.value(line.op); err != nil {
		return id, err
	}
	if line.split != nil {
		for p := range n.partitions {
			if err := e.value(line.split(p)); err != nil {
				return id, err
			}
		}
	}
	return e.done(), nil
}

// Identity returns the identity of the shuffle's map outputs: that of the dataset whose rows it carries, of how they are placed and folded.
func (s *Shuffle) Identity() (Identity, error) {
	if id := s.identity.Load(); id != nil {
		return *id, nil
	}
	parent := s.Node.line.Load().identity.Load()
	if parent == nil {
		id, err := s.Node.Identity()
		if err != nil {
			return Identity{}, err
		}
		parent = &id
	}
	e := newIdentifier("shuffle")
	e.nodes[s.Node] = 1
	for old := s; old != nil; old = old.was {
		e.shuffles[old] = 0
	}
	e.number(s.Node.partitions)
	e.number(s.Partitions)
	e.add(*parent)
	if err := e.value(s.Writer); err != nil {
		return Identity{}, fmt.Errorf("identify the shuffle of %v: %w", s.Node, err)
	}
	id := e.done()
	s.identity.Store(&id)
	return id, nil
}

// identifier digests one dataset or shuffle. Inside of its operation it knows itself and its parents, by their places.
type identifier struct {
	id       Identity
	hash     hash.Hash
	codec    *closure.Codec
	nodes    map[*Node]int
	shuffles map[*Shuffle]int
	buf      []byte
}

// identityVersion changes with what identities are made of.
const identityVersion = 1

func newIdentifier(kind string) *identifier {
	e := &identifier{hash: sha256.New(), nodes: map[*Node]int{}, shuffles: map[*Shuffle]int{}}
	e.codec = &closure.Codec{Handles: map[reflect.Type]closure.Handles{
		reflect.TypeFor[*Node](): nodeHandles{encode: func(n *Node) (uint64, error) {
			at, ok := e.nodes[n]
			if !ok {
				return 0, fmt.Errorf("dataset %v is used inside a function", n)
			}
			return uint64(at), nil
		}},
		reflect.TypeFor[*Shuffle](): shuffleHandles{encode: func(s *Shuffle) (uint64, error) {
			at, ok := e.shuffles[s]
			if !ok {
				return 0, fmt.Errorf("it reads shuffle %d without depending on it", s.ID)
			}
			return uint64(at), nil
		}},
		reflect.TypeFor[*variable](): variableHandles{encode: e.variable},
		reflect.TypeFor[*origin]():   originHandles{encode: func(*origin) (uint64, error) { return 0, nil }},
	}}
	e.hash.Write([]byte(kind)) // writing to a hash cannot fail
	e.number(identityVersion)
	return e
}

func (e *identifier) number(n int) {
	e.buf = binary.LittleEndian.AppendUint64(e.buf[:0], uint64(n))
	e.hash.Write(e.buf)
}

func (e *identifier) add(id Identity) {
	e.hash.Write(id.sum[:])
	e.id.Counted = e.id.Counted || id.Counted
}

// value adds what would travel.
func (e *identifier) value(v any) (err error) {
	e.buf, err = e.codec.Encode(e.buf[:0], v)
	if err != nil {
		return err
	}
	encoded := e.buf
	e.hash.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(encoded))))
	e.hash.Write(encoded)
	return nil
}

// variable adds the value of a broadcast.
func (e *identifier) variable(v *variable) (uint64, error) {
	if v.kind == accumulatorVariable {
		e.id.Counted = true
		return 1, nil
	}
	sum, err := v.digest()
	if err != nil {
		return 0, fmt.Errorf("broadcast %d: %w", v.id, err)
	}
	e.hash.Write(sum[:])
	return 0, nil
}

// digest is that of a broadcast's value as it travels, computed once.
func (v *variable) digest() ([sha256.Size]byte, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.sum == nil {
		b, err := (&closure.Codec{}).Encode(nil, v.value)
		if err != nil {
			return [sha256.Size]byte{}, err
		}
		sum := sha256.Sum256(b)
		v.sum = &sum
	}
	return *v.sum, nil
}

func (e *identifier) done() Identity {
	e.hash.Sum(e.id.sum[:0])
	return e.id
}

// Keeper is implemented by sessions that keep what is finished for another run of the program, for the case that this one dies.
type Keeper interface {
	// KeepDir is a directory that lives until the program has ended well, on any file system; empty if nothing is kept.
	KeepDir() string
	// KeptBy is a digest of what identities do not hold and results may depend on: executable, arguments, settings.
	KeptBy() string
}

// KeepDir is where trainers and other parts of the program may keep what another run of it goes on from; empty if nothing is kept. It is
// removed when the program has ended well.
func KeepDir(s Session) string {
	if k, ok := s.(Keeper); ok {
		return k.KeepDir()
	}
	return ""
}
