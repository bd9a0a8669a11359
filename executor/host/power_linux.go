package host

import "syscall"

// decommissionSignal has a host ask to be decommissioned; 0 where there is no such signal.
const decommissionSignal = syscall.SIGPWR
