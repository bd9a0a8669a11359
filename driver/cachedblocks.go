package driver

import "github.com/spark-go/spark-go/executor/protocol"

// updateBlocks notes which cached blocks came to an executor or left it.
func (l *loop) updateBlocks(executor string, updates []protocol.BlockUpdate) {
	for _, u := range updates {
		holders := l.blocks[u.ID]
		if u.Memory == 0 && u.Disk == 0 {
			delete(holders, executor)
			if len(holders) == 0 {
				delete(l.blocks, u.ID)
			}
			continue
		}
		if holders == nil {
			holders = map[string]bool{}
			l.blocks[u.ID] = holders
		}
		if !holders[executor] {
			holders[executor] = true
			l.blockCame(&u)
		}
	}
}

// cached reports whether every partition of a dataset is cached somewhere.
func (l *loop) cached(dataset, partitions int) bool {
	for p := range partitions {
		if len(l.blocks[protocol.BlockID{Dataset: dataset, Partition: p}]) == 0 {
			return false
		}
	}
	return partitions > 0
}

// forgetExecutor drops what the loop knows of an executor that is gone.
func (l *loop) forgetExecutor(id string) {
	delete(l.ready, id)
	for b, holders := range l.blocks {
		delete(holders, id)
		if len(holders) == 0 {
			delete(l.blocks, b)
		}
	}
}

// forgetDataset drops the cached blocks of a dataset.
func (l *loop) forgetDataset(id int) {
	for b := range l.blocks {
		if b.Dataset == id {
			delete(l.blocks, b)
		}
	}
	l.voidCopies(protocol.Remove{Kind: protocol.RemoveDataset, ID: id})
	l.forgetReplicas(id)
}
