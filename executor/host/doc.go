// Package host runs executors: it is what a process of the user's binary does when it is not the driver.
//
// Three kinds of processes run the same binary:
//
//   - The driver runs the user's program.
//   - A host is small and runs no user code. It keeps the host's folder, serves the map outputs in it, and launches and watches
//     one job process. It lives until the driver stops it or dies.
//   - A job process runs the user's program up to driver.New, which calls [MaybeServe], and then tasks. A panic or an exit in a
//     task ends it, and nothing else: the host says to the driver how it ended and launches another one, with the next epoch.
//
// These hold, and the tests kill processes to see that they do:
//
//   - A process starts in a role only by the environment variable that its parent sets, and with a specification, the
//     application's secret in it, that it reads from an inherited socket: its lifeline. Both are out of reach when user code
//     runs: the variable is unset and the socket is closed to children before main begins.
//   - The end of the lifeline is the end of the parent. A host then ends its job process and removes its folder, and the
//     application's, which nobody else will; a job process exits. On Linux the kernel kills job processes whose host has
//     died, stopped ones too.
//   - Launching and registering are apart: whoever can start a process with a specification can be a launcher, and a host
//     is known to the driver by what it says when it registers.
//   - What a job process prints goes through pipes that outlive it, so that nothing that it wrote before it died is lost,
//     and arrives in whole lines.
//
// The job process is a plugin of its host in the sense of hashicorp/go-plugin, which checks the executable's digest, shakes hands,
// and encrypts the control channel between the two. Tasks, results and blocks do not go that way: for them the job process
// dials the driver (see package protocol), and block servers (see package blocks).
package host
