package host

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
)

// cookie is what go-plugin compares first: it keeps people from starting a job process by hand.
var cookie = plugin.HandshakeConfig{ProtocolVersion: 1, MagicCookieKey: "SPARK_GO_EXECUTOR", MagicCookieValue: "b7c1f4d2-job-process"}

const pluginName = "executor"

// startMethod is the one call of our own on the control channel: the host allows the job process to begin. Until then standard
// output is go-plugin's. (Messages are protobuf's empty one, so nothing needs to be generated.)
const startMethod = "/sparkgo.Executor/Start"

// starter serves startMethod in the job process.
type starter struct {
	plugin.NetRPCUnsupportedPlugin
	start func() // nil in the host
}

var _ plugin.GRPCPlugin = (*starter)(nil)

// GRPCServer registers the service in the job process.
func (s *starter) GRPCServer(_ *plugin.GRPCBroker, server *grpc.Server) error {
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "sparkgo.Executor",
		HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Start", Handler: func(_ any, _ context.Context, dec func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			if err := dec(new(emptypb.Empty)); err != nil {
				return nil, err
			}
			s.start()
			return new(emptypb.Empty), nil
		}}},
	}, s)
	return nil
}

// GRPCClient returns the host's end: a func(context.Context) error.
func (s *starter) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return func(ctx context.Context) error {
		return conn.Invoke(ctx, startMethod, new(emptypb.Empty), new(emptypb.Empty))
	}, nil
}

// jobRunner starts and ends a job process for go-plugin. It differs from go-plugin's own runner in what is needed here: the
// process has its own group and dies with the host, its end is known at once with its exit code, and its standard output and error
// are pipes of ours; the handshake has one of its own.
type jobRunner struct {
	cmd       *exec.Cmd
	close     []io.Closer // the child's ends
	handshake *os.File
	started   func(*child) error
	child     *child
}

var _ runner.Runner = (*jobRunner)(nil)

// Start starts the process.
func (r *jobRunner) Start(context.Context) error {
	c, err := startChild(r.cmd, syscall.SIGKILL)
	for _, f := range r.close {
		f.Close()
	}
	if err != nil {
		return err
	}
	r.child = c
	return r.started(c)
}

// Wait returns when the process has ended.
func (r *jobRunner) Wait(context.Context) error {
	<-r.child.done
	return nil
}

// Kill kills the process and its group.
func (r *jobRunner) Kill(context.Context) error {
	if r.child != nil {
		r.child.kill()
	}
	return nil
}

// ID returns the process number.
func (r *jobRunner) ID() string {
	if r.child == nil {
		return ""
	}
	return strconv.Itoa(r.child.pid())
}

// Stdout is where go-plugin reads the handshake.
func (r *jobRunner) Stdout() io.ReadCloser { return r.handshake }

// Stderr is empty: job processes log through the driver's connection and print to pipes of ours.
func (r *jobRunner) Stderr() io.ReadCloser { return io.NopCloser(strings.NewReader("")) }

// Name returns the executable's path.
func (r *jobRunner) Name() string { return r.cmd.Path }

// Diagnose has nothing to add: how the process ended is reported with its last lines.
func (r *jobRunner) Diagnose(context.Context) string { return "" }

// PluginToHost returns the address as it is: both run on one machine.
func (r *jobRunner) PluginToHost(network, addr string) (string, string, error) {
	return network, addr, nil
}

// HostToPlugin returns the address as it is.
func (r *jobRunner) HostToPlugin(network, addr string) (string, string, error) {
	return network, addr, nil
}

// checkBinary compares the digest of what is about to be started with what the driver runs.
func checkBinary(path, digest string) error {
	sum, err := hex.DecodeString(digest)
	if err != nil {
		return fmt.Errorf("check the executable: the driver's digest %q is none", digest)
	}
	secure := plugin.SecureConfig{Checksum: sum, Hash: sha256.New()}
	ok, err := secure.Check(path)
	if err != nil {
		return fmt.Errorf("check the executable: %w", err)
	}
	if !ok {
		return fmt.Errorf("check the executable: %s is not the one that the driver runs, which has SHA-256 %s: it was replaced since the driver started; start the program again", path, digest)
	}
	return nil
}

// pluginLog passes go-plugin's records to slog. What go-plugin takes for an error, the end of a plugin, is everyday life here and
// reported with its cause elsewhere: its records go two levels down.
type pluginLog struct {
	log  *slog.Logger
	name string
	args []any
}

var _ hclog.Logger = (*pluginLog)(nil)

var slogLevels = map[hclog.Level]slog.Level{
	hclog.Trace: slog.LevelDebug - 12, hclog.Debug: slog.LevelDebug - 8, hclog.Info: slog.LevelDebug - 4, hclog.Warn: slog.LevelDebug, hclog.Error: slog.LevelInfo,
}

func (l *pluginLog) level(level hclog.Level) (slog.Level, bool) {
	to, ok := slogLevels[level]
	return to, ok && l.log.Enabled(context.Background(), to)
}

// Log logs a record.
func (l *pluginLog) Log(level hclog.Level, msg string, args ...any) {
	if to, ok := l.level(level); ok {
		l.log.Log(context.Background(), to, msg, append(l.args[:len(l.args):len(l.args)], args...)...)
	}
}

// The methods below are hclog's names for the same.

func (l *pluginLog) Trace(msg string, args ...any) { l.Log(hclog.Trace, msg, args...) }
func (l *pluginLog) Debug(msg string, args ...any) { l.Log(hclog.Debug, msg, args...) }
func (l *pluginLog) Info(msg string, args ...any)  { l.Log(hclog.Info, msg, args...) }
func (l *pluginLog) Warn(msg string, args ...any)  { l.Log(hclog.Warn, msg, args...) }
func (l *pluginLog) Error(msg string, args ...any) { l.Log(hclog.Error, msg, args...) }

func (l *pluginLog) is(level hclog.Level) bool { _, ok := l.level(level); return ok }
func (l *pluginLog) IsTrace() bool             { return l.is(hclog.Trace) }
func (l *pluginLog) IsDebug() bool             { return l.is(hclog.Debug) }
func (l *pluginLog) IsInfo() bool              { return l.is(hclog.Info) }
func (l *pluginLog) IsWarn() bool              { return l.is(hclog.Warn) }
func (l *pluginLog) IsError() bool             { return l.is(hclog.Error) }
func (l *pluginLog) ImpliedArgs() []any        { return l.args }
func (l *pluginLog) Name() string              { return l.name }
func (l *pluginLog) SetLevel(hclog.Level)      {}

// GetLevel says that everything is wanted; slog's handler decides.
func (l *pluginLog) GetLevel() hclog.Level { return hclog.Trace }

// With returns a logger that adds args to each record.
func (l *pluginLog) With(args ...any) hclog.Logger {
	return &pluginLog{log: l.log, name: l.name, args: append(l.args[:len(l.args):len(l.args)], args...)}
}

// Named returns a logger with a longer name.
func (l *pluginLog) Named(name string) hclog.Logger {
	if l.name != "" {
		name = l.name + "." + name
	}
	return l.ResetNamed(name)
}

// ResetNamed returns a logger with another name.
func (l *pluginLog) ResetNamed(name string) hclog.Logger {
	return &pluginLog{log: l.log, name: name, args: l.args}
}

// StandardLogger returns a logger of package log that logs at the level info.
func (l *pluginLog) StandardLogger(*hclog.StandardLoggerOptions) *log.Logger {
	return slog.NewLogLogger(l.log.Handler(), slogLevels[hclog.Info])
}

// StandardWriter returns a writer that drops what is written: go-plugin's client does not use it.
func (l *pluginLog) StandardWriter(*hclog.StandardLoggerOptions) io.Writer { return io.Discard }

var errNotStarter = errors.New("go-plugin returned something else than the executor's client")

// clientConfig is go-plugin's configuration in the host.
func clientConfig(start func(cmd *exec.Cmd) (*jobRunner, error), sockets string, secure *tls.Config, stdout, stderr io.Writer, logger *slog.Logger) *plugin.ClientConfig {
	return &plugin.ClientConfig{
		HandshakeConfig:  cookie,
		Plugins:          plugin.PluginSet{pluginName: &starter{}},
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		TLSConfig:        secure,
		RunnerFunc: func(_ hclog.Logger, cmd *exec.Cmd, _ string) (runner.Runner, error) {
			return start(cmd)
		},
		UnixSocketConfig: &plugin.UnixSocketConfig{TempDir: sockets},
		// For what is printed while standard output is go-plugin's, before Start.
		SyncStdout: stdout,
		SyncStderr: stderr,
		Logger:     &pluginLog{log: logger},
	}
}
