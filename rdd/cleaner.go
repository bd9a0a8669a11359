package rdd

import "runtime"

// Cleaner is implemented by sessions that want to know when nothing in the program can reach a dataset, a shuffle or a broadcast any
// more, so that its blocks, files and values can be removed: an iterative program would otherwise fill the disks with the
// shuffles of its earlier rounds. The garbage collector finds out, so the call comes some time after the last use, or never.
//
// The methods are called from the runtime's clean-up goroutine: they must return soon and not panic. They may be told the same
// number twice.
type Cleaner interface {
	// DatasetGone says that no job will read the kept partitions of a dataset again.
	DatasetGone(id int)
	// ShuffleGone says that no job will read the map outputs of a shuffle again.
	ShuffleGone(id int)
	// VariableGone says that no job will read a broadcast, or add to an accumulator, again.
	VariableGone(id int)
}

// gone is whom to tell about what. It must not lead back to the thing itself, which it would keep alive.
type gone struct {
	cleaner Cleaner
	id      int
}

// trackDataset has the session told when nobody can reach n any more; n.mu is held. Only persisted datasets are tracked: the others
// leave nothing behind.
func trackDataset(n *Node) {
	c, ok := n.session.(Cleaner)
	if !ok || n.tracked {
		return
	}
	n.tracked = true
	runtime.AddCleanup(n, func(g gone) { g.cleaner.DatasetGone(g.id) }, gone{c, n.id})
}

// trackShuffle has the session told when no dataset reads the shuffle any more.
func trackShuffle(s Session, sh *Shuffle) {
	if c, ok := s.(Cleaner); ok {
		runtime.AddCleanup(sh, func(g gone) { g.cleaner.ShuffleGone(g.id) }, gone{c, sh.ID})
	}
}

// trackVariable has the session told when no function refers to the broadcast any more.
func trackVariable(s Session, v *variable) {
	if c, ok := s.(Cleaner); ok {
		runtime.AddCleanup(v, func(g gone) { g.cleaner.VariableGone(g.id) }, gone{c, v.id})
	}
}
