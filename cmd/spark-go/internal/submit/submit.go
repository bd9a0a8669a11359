// Package submit builds a program, checks it, and runs it with settings from flags and files.
//
// The program is an ordinary one: submit hands it the settings in an environment variable that driver.New reads, gives it
// its own standard input and output, and ends as it ends. Signals reach the program too; it stops its jobs and executors and
// leaves no process behind. If submit itself is killed, the program is interrupted.
package submit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/pflag"

	"github.com/spark-go/spark-go/cmd/spark-go/internal/vet"
	"github.com/spark-go/spark-go/driver/conf"
	"github.com/spark-go/spark-go/executor/host"
)

// flags is the command line.
type flags struct {
	set        *pflag.FlagSet
	conf       []string
	properties string
	noVet      bool
	verbose    bool
	program    string
	args       []string
}

// settingFlags are the flags that are a configuration key under a shorter name.
var settingFlags = []struct{ name, key, doc string }{
	{"master", "spark.master", "where tasks run: local[N], local[*], local-cluster[executors,cores,memory]"},
	{"name", "spark.app.name", "the application's name"},
	{"driver-memory", "spark.driver.memory", "memory budget of the driver, such as 2g"},
	{"executor-memory", "spark.executor.memory", "memory of each executor of --master local-cluster, such as 2g"},
	{"executor-cores", "spark.executor.cores", "cores of each executor of --master local-cluster"},
	{"num-executors", "spark.executor.instances", "how many executors --master local-cluster has"},
	{"resume", "spark.checkpoint.dir", "directory that keeps what is finished: submitted again after it died, the program goes on from there"},
	{"files", "spark.files", "comma-separated files that tasks on all executors can read"},
}

const usage = `Usage: spark-go submit [options] <package or executable> [-- arguments]

Builds the Go package (or takes the executable), checks it with spark-go vet, and runs it. Its arguments come after --; its exit
status is that of spark-go submit.

Options:
`

func parse(args []string, stderr io.Writer) (*flags, error) {
	f := &flags{set: pflag.NewFlagSet("submit", pflag.ContinueOnError)}
	f.set.SetOutput(stderr)
	f.set.SortFlags = false
	f.set.SetInterspersed(true)
	for _, s := range settingFlags {
		f.set.String(s.name, "", s.doc+" ("+s.key+")")
	}
	f.set.StringArrayVarP(&f.conf, "conf", "c", nil, "a setting, KEY=VALUE; may be repeated (see docs/configuration.md)")
	f.set.StringVar(&f.properties, "properties-file", "", "file of settings, one KEY VALUE a line")
	f.set.BoolVar(&f.noVet, "no-vet", false, "do not check the program first")
	f.set.BoolVar(&f.verbose, "verbose", false, "print the settings, where each came from, and what is run")
	f.set.Usage = func() {} // Main prints it
	own, program := args, []string(nil)
	for i, a := range args {
		if a == "--" {
			own, program = args[:i], args[i+1:]
			break
		}
	}
	if err := f.set.Parse(own); err != nil {
		return f, f.withNearest(err)
	}
	f.args = program
	switch f.set.NArg() {
	case 0:
		return nil, errors.New("no program: give a Go package such as ./examples/als, or an executable")
	case 1:
		f.program = f.set.Arg(0)
	default:
		return nil, fmt.Errorf("unexpected argument %q: the program's own arguments come after --", f.set.Arg(1))
	}
	return f, nil
}

// withNearest adds to an error about an unknown flag the one that was probably meant.
func (f *flags) withNearest(err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) || len(unknown.GetSpecifiedName()) < 2 {
		return err
	}
	var names []string
	f.set.VisitAll(func(fl *pflag.Flag) { names = append(names, fl.Name) })
	if near := conf.Nearest(unknown.GetSpecifiedName(), names); near != "" {
		return fmt.Errorf("%w; the nearest is --%s", err, near)
	}
	return err
}

// settings gathers the configuration that the flags and the properties file make.
func (f *flags) settings() (*conf.Conf, error) {
	c := conf.New()
	var errs []error
	if f.properties != "" {
		errs = append(errs, c.PutFile(f.properties))
	}
	for _, kv := range f.conf {
		key, value, ok := strings.Cut(kv, "=")
		if !ok {
			errs = append(errs, fmt.Errorf("--conf %q: write KEY=VALUE", kv))
			continue
		}
		errs = append(errs, c.Put(conf.Setting{Key: strings.TrimSpace(key), Value: value, Source: conf.Flag, From: "--conf"}))
	}
	for _, s := range settingFlags {
		if fl := f.set.Lookup(s.name); fl.Changed {
			errs = append(errs, c.Put(conf.Setting{Key: s.key, Value: fl.Value.String(), Source: conf.Flag, From: "--" + s.name}))
		}
	}
	return c, errors.Join(errs...)
}

// Main runs the command and returns its exit status: the program's, 1 if it could not be built or passes no check, 2 for a wrong
// command line.
func Main(args []string, stdout, stderr io.Writer) int {
	f, err := parse(args, stderr)
	if errors.Is(err, pflag.ErrHelp) {
		fmt.Fprint(stdout, usage, f.set.FlagUsages())
		return 0
	}
	var c *conf.Conf
	if err == nil {
		c, err = f.settings()
	}
	if err != nil {
		fmt.Fprintf(stderr, "spark-go submit: %v (see spark-go submit --help)\n", err)
		return 2
	}
	if err := c.Check(); err != nil {
		fmt.Fprintf(stderr, "spark-go submit: %v\n", err)
		return 2
	}
	// An interrupt ends the build and removes its files; later ones are the program's.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	executable, cleanup, status := f.build(ctx, stderr)
	defer cleanup()
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	interrupted := ctx.Err() != nil
	stop()
	if interrupted {
		fmt.Fprintln(stderr, "spark-go submit: interrupted")
		return 128 + int(syscall.SIGINT)
	}
	if status != 0 {
		return status
	}
	if f.verbose {
		fmt.Fprintf(stderr, "executable  %s\narguments   %q\nsettings:\n", executable, f.args)
		for _, s := range c.Settings() {
			fmt.Fprintf(stderr, "  %-40s %-20s from %s\n", s.Key, c.Redacted(s.Key, s.Value), s.From)
		}
	}
	status, err = execute(executable, f.args, c, signals, stdout, stderr)
	if err != nil {
		fmt.Fprintf(stderr, "spark-go submit: %v\n", err)
	}
	return status
}

// build makes the executable, unless it is one already.
func (f *flags) build(ctx context.Context, stderr io.Writer) (path string, cleanup func(), status int) {
	cleanup = func() {}
	if fi, err := os.Stat(f.program); err == nil && fi.Mode().IsRegular() && !strings.HasSuffix(f.program, ".go") {
		if fi.Mode()&0o111 == 0 {
			fmt.Fprintf(stderr, "spark-go submit: %s is a file and not executable: give a Go package or an executable\n", f.program)
			return "", cleanup, 1
		}
		abs, err := filepath.Abs(f.program)
		if err != nil {
			fmt.Fprintf(stderr, "spark-go submit: %v\n", err)
			return "", cleanup, 1
		}
		return abs, cleanup, 0
	}
	if filepath.IsAbs(f.program) || strings.HasPrefix(f.program, ".") {
		if _, err := os.Stat(f.program); err != nil {
			fmt.Fprintf(stderr, "spark-go submit: %v: give a Go package such as ./examples/als, or an executable\n", err)
			return "", cleanup, 1
		}
	}
	if !f.noVet {
		vetted := make(chan int, 1)
		go func() { vetted <- vet.Main([]string{f.program}, stderr, stderr) }()
		var status int
		select {
		case status = <-vetted:
		case <-ctx.Done():
			status = 2
		}
		if status != 0 {
			if status == 1 {
				fmt.Fprintln(stderr, "spark-go submit: the program would fail on executors: mend what spark-go vet found (spark-go vet -fix rewrites most of it), or pass --no-vet")
			}
			return "", cleanup, 1
		}
	}
	if ctx.Err() != nil {
		return "", cleanup, 1
	}
	// A held folder: if submit is killed, the next application removes it.
	dir, err := host.NewRoot(os.TempDir())
	if err != nil {
		fmt.Fprintf(stderr, "spark-go submit: build the program: %v\n", err)
		return "", cleanup, 1
	}
	cleanup = func() { _ = dir.Remove() }
	path = filepath.Join(dir.Dir, "bin", programName(f.program)) // go build makes bin
	cmd := exec.CommandContext(ctx, "go", "build", "-o", path, f.program)
	cmd.Stdout, cmd.Stderr = stderr, stderr
	if err := cmd.Run(); err != nil {
		fmt.Fprintf(stderr, "spark-go submit: build %s: %v\n", f.program, err)
		return "", cleanup, 1
	}
	if fi, err := os.Stat(path); err != nil || fi.Mode()&0o111 == 0 {
		fmt.Fprintf(stderr, "spark-go submit: %s is not a program: give a package with a main function\n", f.program)
		return "", cleanup, 1
	}
	return path, cleanup, 0
}

// programName is what go build would call the executable of a package: it names the application if nothing else does.
func programName(program string) string {
	if abs, err := filepath.Abs(program); err == nil {
		program = abs
	}
	return strings.TrimSuffix(filepath.Base(program), ".go")
}

// execute runs the program and returns its exit status, 128 plus the signal if one ended it.
func execute(path string, args []string, c *conf.Conf, signals <-chan os.Signal, stdout, stderr io.Writer) (int, error) {
	env, err := c.Environ()
	if err != nil {
		return 1, err
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), env)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, stdout, stderr
	followParent(cmd)
	if err := cmd.Start(); err != nil {
		return 1, fmt.Errorf("start %s: %w", path, err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	for {
		select {
		case s := <-signals:
			_ = cmd.Process.Signal(s)
		case err := <-done:
			var exit *exec.ExitError
			if err == nil {
				return 0, nil
			}
			if !errors.As(err, &exit) {
				return 1, fmt.Errorf("run %s: %w", path, err)
			}
			if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
				return 128 + int(ws.Signal()), nil
			}
			return exit.ExitCode(), nil
		}
	}
}
