package driver

import "github.com/spark-go/spark-go/driver/cluster"

// ChangeCluster has the local clusters of the following contexts changed, until restore.
func ChangeCluster(change func(*cluster.Config)) (restore func()) {
	changeCluster = change
	return func() { changeCluster = nil }
}
