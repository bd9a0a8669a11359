//go:build !linux

package submit

import "os/exec"

// followParent does nothing where the kernel has no signal for a parent's death.
func followParent(*exec.Cmd) {}
