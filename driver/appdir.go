package driver

import (
	"fmt"
	"os"

	"github.com/spark-go/spark-go/executor/host"
)

// makeAppDir makes the application's private directory below root (spark.local.dir), the system's temporary directory if that is
// empty. It holds a lock that ends with the processes of the application, by which the next one knows what a killed one left
// behind, and removes it.
func makeAppDir(root string) (*host.Root, error) {
	if root == "" {
		root = os.TempDir()
	}
	dir, err := host.NewRoot(root)
	if err != nil {
		return nil, fmt.Errorf("spark.local.dir %s: %w", root, err)
	}
	return dir, nil
}
