package tree

import "sync"

// places says where each row of a table stands in the trees that are growing: at which node, by its number in the tree's list. It spares
// the way down from the root, and is nothing that results depend on: it stays in the process where the table is kept, goes with it, and
// is empty wherever the table arrives anew.
type places struct {
	mu    sync.Mutex // held by the task that uses it
	group int        // which trees
	nodes [][]int32  // of each tree, for each row
}

// MarshalBinary leaves everything behind.
func (p *places) MarshalBinary() ([]byte, error) { return nil, nil }

// UnmarshalBinary makes empty places.
func (p *places) UnmarshalBinary([]byte) error { return nil }
