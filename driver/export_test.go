package driver

import (
	"github.com/spark-go/spark-go/driver/cluster"
	"github.com/spark-go/spark-go/executor/protocol"
)

// ChangeCluster has the local clusters of the following contexts changed, until restore.
func ChangeCluster(change func(*cluster.Config)) (restore func()) {
	changeCluster = change
	return func() { changeCluster = nil }
}

// Secret is that of a context with executor processes.
func (c *Context) Secret() protocol.Secret { return c.backend.(*cluster.Local).Secret() }
