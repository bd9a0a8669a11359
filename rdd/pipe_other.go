//go:build !unix

package rdd

import "os/exec"

// ownGroup does nothing where there are no process groups: only the process itself is killed.
func ownGroup(*exec.Cmd) {}
