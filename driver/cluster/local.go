package cluster

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/spark-go/spark-go/executor/host"
	"github.com/spark-go/spark-go/executor/protocol"
)

// Config says what a local cluster is made of. Zero values mean the defaults.
type Config struct {
	App       string // the application's name, for logs
	Executors int    // how many; default 1
	Cores     int    // of each; default 1
	Memory    int64  // of each, bytes; default 1 GiB
	Settings  map[string]string

	Heartbeat time.Duration // spark.executor.heartbeatInterval; default 10 s
	Timeout   time.Duration // spark.network.timeout: an executor that is not heard of for so long is lost; default 120 s
	MaxFrame  int           // spark.rpc.message.maxSize in bytes; default 128 MiB

	// LocalDir is where map outputs and spills go: a directory of spark.local.dir; default the system's folder for temporary files.
	LocalDir string
	// MoreDirs are folders of the application on further disks, for the same. They exist and are held by the driver, which removes them.
	MoreDirs []string
	// Orphan are further folders to remove when the driver has died.
	Orphan []string
	// Bind is the IP address of this machine on which the driver, hosts and job processes listen, each on any free port; empty for unix
	// sockets in a private folder. Connections over another address than loopback are encrypted.
	Bind string
	// Encrypt has all connections encrypted.
	Encrypt bool
	// Place says how a host is launched, as host.Spec.Command, and its own Bind, for hosts that do not see the network that the driver sees.
	// Nil means like the driver.
	Place func(number int) (command []string, bind string)

	// SharedDisk lets executors open each other's map outputs instead of asking the block servers: they are on one machine.
	SharedDisk bool

	Args           []string  // of the program, for job processes; default os.Args[1:]
	Stdout, Stderr io.Writer // for what job processes print; default os.Stdout and os.Stderr
	// Redact takes secrets out of what job processes print on standard error; nil leaves it as it is.
	Redact        func(string) string
	Log           *slog.Logger  // default slog.Default()
	MaxExits      int           // ends of job processes within ExitWindow after which a host launches no more; default 10
	ExitWindow    time.Duration // default a minute
	MaxHostLosses int           // lost hosts that are replaced; default 4 for each executor
}

func (c Config) withDefaults() Config {
	c.Executors = max(c.Executors, 1)
	c.Cores = max(c.Cores, 1)
	if c.Memory <= 0 {
		c.Memory = 1 << 30
	}
	if c.Heartbeat <= 0 {
		c.Heartbeat = 10 * time.Second
	}
	if c.Timeout <= 0 {
		c.Timeout = 120 * time.Second
	}
	if c.MaxFrame <= 0 {
		c.MaxFrame = protocol.DefaultMaxFrame
	}
	if c.Args == nil {
		c.Args = os.Args[1:]
	}
	if c.Stdout == nil {
		c.Stdout = os.Stdout
	}
	if c.Stderr == nil {
		c.Stderr = os.Stderr
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.MaxHostLosses <= 0 {
		c.MaxHostLosses = 4 * c.Executors
	}
	return c
}

// Local is the backend of local-cluster[n,cores,memory]: hosts and job processes on this machine, over unix sockets in a
// private folder or over TCP.
type Local struct {
	registry
	config Config
	binary host.Executable
	socks  *host.Root // sockets
	data   *host.Root // map outputs and spills; the same as socks unless there is a LocalDir
	orphan []string

	stopOnce sync.Once
}

var _ Backend = (*Local)(nil)

// NewLocal returns a local cluster, of which nothing runs yet.
func NewLocal(config Config) *Local {
	config = config.withDefaults()
	l := &Local{config: config}
	l.init(&config)
	return l
}

// Secret is the application's secret, for block servers and clients of the driver.
func (l *Local) Secret() protocol.Secret { return l.secret }

// Address is one that the driver may listen on: a socket of the given name in the application's folder, or any free port of Config.Bind. The
// folder is made if it is not there yet; Stop removes it.
func (l *Local) Address(name string) (string, error) {
	if l.config.Bind != "" {
		return protocol.TCPAddr(l.config.Bind, l.config.Encrypt), nil
	}
	if err := l.makeRoots(); err != nil {
		return "", err
	}
	return protocol.UnixAddr(filepath.Join(l.socks.Dir, name+".sock"), l.config.Encrypt), nil
}

// Start listens and launches the hosts.
func (l *Local) Start(ctx context.Context, handle func(Event)) error {
	var err error
	if l.binary, err = host.Self(); err != nil {
		return fmt.Errorf("start local-cluster: %w", err)
	}
	// Hosts need the digest before they start job processes: it is computed while they start themselves.
	l.digest = sync.OnceValues(l.binary.Hash)
	go func() { _, _ = l.digest() }()
	if err := l.makeRoots(); err != nil {
		return fmt.Errorf("start local-cluster: %w", err)
	}
	addr, err := l.Address("driver")
	if err == nil {
		err = l.listen(addr)
	}
	if err != nil {
		l.removeRoots()
		return fmt.Errorf("start local-cluster: %w", err)
	}
	l.start(handle, l.launch, l.config.Executors)
	context.AfterFunc(ctx, l.Stop)
	return nil
}

// makeRoots makes the application's folders, once.
func (l *Local) makeRoots() error {
	if l.socks != nil {
		return nil
	}
	dir := os.TempDir()
	// go-plugin's sockets have the longest paths: root/plugin-dirNNNNNNNNNN/pluginNNNNNNNNNN.
	if len(dir)+len("/sparkgo-xxxxxxxx")+2*len("/plugin-dir0123456789") > protocol.MaxUnixPath {
		dir = "/tmp"
	}
	var err error
	if l.socks, err = host.NewRoot(dir); err != nil {
		return err
	}
	l.data, l.orphan = l.socks, []string{l.socks.Dir}
	if l.config.LocalDir != "" && l.config.LocalDir != dir {
		if l.data, err = host.NewRoot(l.config.LocalDir); err != nil {
			_ = l.socks.Remove()
			l.socks = nil
			return err
		}
		l.orphan = append(l.orphan, l.data.Dir)
	}
	l.orphan = append(append(l.orphan, l.config.MoreDirs...), l.config.Orphan...)
	return nil
}

func (l *Local) removeRoots() {
	for _, r := range []*host.Root{l.socks, l.data} {
		if r == nil {
			continue
		}
		if err := r.Remove(); err != nil {
			l.config.Log.Warn("files of the application are left", "error", err)
		}
	}
}

// Disk is the identity of the disk that the driver and all hosts share, from Start on; empty if each host has its own.
func (l *Local) Disk() string {
	if !l.config.SharedDisk {
		return ""
	}
	return "disk-of-" + filepath.Base(l.socks.Dir)
}

// launch starts the host with a number.
func (l *Local) launch(number int) (Process, error) {
	id := fmt.Sprintf("host-%d", number)
	disk := cmp.Or(l.Disk(), id)
	dirs := []string{filepath.Join(l.data.Dir, id)}
	for _, more := range l.config.MoreDirs {
		dirs = append(dirs, filepath.Join(more, id))
	}
	command, bind := []string(nil), l.config.Bind
	if l.config.Place != nil {
		command, bind = l.config.Place(number)
	}
	listen := ""
	if bind != "" {
		listen = protocol.TCPAddr(bind, l.config.Encrypt)
	}
	p, err := host.Launch(&host.Spec{
		App: l.config.App, Host: id, Executor: fmt.Sprint(number), Driver: l.addr(), Secret: l.secret, Args: l.config.Args, Binary: l.binary,
		Cores: l.config.Cores, Memory: l.config.Memory, Disk: disk, SockDir: l.socks.Dir, DataDirs: dirs, Orphan: l.orphan,
		MaxExits: l.config.MaxExits, ExitWindow: l.config.ExitWindow, Command: command, Listen: listen, Encrypt: l.config.Encrypt, Timeout: l.config.Timeout,
	}, l.config.Stdout, l.config.Stderr, l.config.Redact)
	if err != nil {
		return nil, err
	}
	return &localHost{Process: p, dirs: dirs, socks: l.socks.Dir, id: id}, nil
}

// localHost is a host on this machine, and what it leaves behind when it is killed.
type localHost struct {
	*host.Process
	dirs      []string
	socks, id string
}

// Discard kills the host and removes what it could not.
func (h *localHost) Discard() {
	h.Kill()
	for _, dir := range h.dirs {
		os.RemoveAll(dir)
	}
	os.Remove(filepath.Join(h.socks, h.id+".sock"))
}

// Stop ends the cluster.
func (l *Local) Stop() {
	l.stopOnce.Do(func() {
		l.stop()
		l.removeRoots()
	})
}

// Decommission has the roster do so in its turn.
func (l *Local) Decommission(executor, reason string) {
	l.send(func() { l.Roster.Decommission(executor, reason) })
}

// Release has the roster do so in its turn.
func (l *Local) Release(host, reason string) {
	l.send(func() { l.Roster.Release(host, reason) })
}
