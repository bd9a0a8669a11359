package host

import (
	"fmt"
	"os"
	"strings"
	"syscall"
)

// roleVariable tells a process of the user's binary what it is. It is set by the parent and unset before main begins.
const roleVariable = "SPARK_GO_ROLE"

const (
	roleHost     = "host"
	roleExecutor = "executor"
)

// handshakeFD is where a job process writes go-plugin's handshake: its standard output belongs to the user's program.
const handshakeFD = 4

// job is this process's part as a job process, nil in all others.
var job *jobRole

// jobRole is what was taken away from the environment before the user's main could see it.
type jobRole struct {
	spec      jobSpec
	line      *os.File
	handshake *os.File
	plugin    map[string]string // go-plugin's variables
}

// init gives a child its role. A host never comes to the user's main, nor to the init functions of packages that import this one:
// it needs nothing of them, and should not fail, print or wait where they do. A job process goes on to MaybeServe.
func init() {
	role, ok := os.LookupEnv(roleVariable)
	if !ok {
		return
	}
	_ = os.Unsetenv(roleVariable)
	switch role {
	case roleHost:
		var spec Spec
		line, err := takeLifeline(&spec)
		if err != nil {
			refuseRole(role, err)
		}
		os.Exit(serveHost(&spec, line))
	case roleExecutor:
		r := &jobRole{plugin: map[string]string{}}
		var err error
		if r.line, err = takeLifeline(&r.spec); err != nil {
			refuseRole(role, err)
		}
		syscall.CloseOnExec(handshakeFD)
		r.handshake = os.NewFile(handshakeFD, "handshake")
		for _, kv := range os.Environ() {
			k, v, _ := strings.Cut(kv, "=")
			if strings.HasPrefix(k, "PLUGIN_") || k == cookie.MagicCookieKey {
				r.plugin[k] = v
				_ = os.Unsetenv(k)
			}
		}
		job = r
		// From here on this process does not outlive its host, whatever the user's main does.
		go func() {
			awaitEnd(r.line, nil)
			os.Exit(1)
		}()
	default:
		refuseRole(role, fmt.Errorf("there is no role %q", role))
	}
}

// refuseRole ends a process that was given a role by someone who is not a driver or a host.
func refuseRole(role string, err error) {
	fmt.Fprintf(os.Stderr, "spark-go: this process was started with %s=%s, which drivers and hosts set for their children: %v\nUnset it to run the program itself.\n", roleVariable, role, err)
	os.Exit(2)
}

// MaybeServe serves tasks and never returns in a job process, and returns at once in any other. driver.New calls it; a test binary
// calls it in TestMain, so that its processes can be executors.
func MaybeServe(newRunner NewRunner) {
	if job == nil {
		return
	}
	os.Exit(serveJob(job, newRunner))
}

// Role says what this process is: "executor" in a job process, empty in a driver or anything else. Hosts never ask.
func Role() string {
	if job != nil {
		return roleExecutor
	}
	return ""
}
