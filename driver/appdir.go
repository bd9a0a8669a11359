package driver

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/spark-go/spark-go/executor/host"
)

// makeAppDirs makes the application's private directory below each of the directories in spark.local.dir, which are separated by commas; the system's
// temporary directory if there are none. Those where it cannot be made are left out, as long as there is one. Each holds a lock that ends with the
// processes of the application, by which the next one knows what a killed one left behind, and removes it.
func makeAppDirs(setting string) ([]*host.Root, error) {
	var dirs []*host.Root
	var errs []error
	for _, root := range localDirs(setting) {
		dir, err := host.NewRoot(root)
		if err != nil {
			errs = append(errs, fmt.Errorf("spark.local.dir %s: %w", root, err))
			continue
		}
		dirs = append(dirs, dir)
	}
	if len(dirs) == 0 {
		return nil, errors.Join(errs...)
	}
	for _, err := range errs {
		slog.Warn("a directory is not used", "error", err)
	}
	return dirs, nil
}

func localDirs(setting string) []string {
	var dirs []string
	for _, d := range strings.Split(setting, ",") {
		if d = strings.TrimSpace(d); d != "" {
			dirs = append(dirs, d)
		}
	}
	if len(dirs) == 0 {
		return []string{os.TempDir()}
	}
	return dirs
}
