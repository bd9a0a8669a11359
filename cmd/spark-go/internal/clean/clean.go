// Package clean removes what dead jobs left in output directories, and finishes commits that were interrupted.
package clean

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"github.com/spark-go/spark-go/driver/conf"
	"github.com/spark-go/spark-go/driver/resume"
	"github.com/spark-go/spark-go/io/filesys"
	_ "github.com/spark-go/spark-go/io/hdfsfs" // hdfs://
	_ "github.com/spark-go/spark-go/io/s3fs"   // s3://
)

const usage = `Usage: spark-go clean [options] <URI>...

Finishes interrupted commits in output directories, and removes the temporary files and uncompleted uploads of jobs that died there.
Jobs that are alive and what spark-go did not write are left as they are. The next job that writes to a directory does the same.
In a checkpoint directory (spark-go submit --resume) it removes what drivers that died have kept: their programs start anew.

Options:
`

// Main runs the command and returns its exit status: 1 if a directory could not be cleaned, also because a job is at work in it.
func Main(args []string, stdout, stderr io.Writer) int {
	set := pflag.NewFlagSet("clean", pflag.ContinueOnError)
	set.SetOutput(stderr)
	set.SortFlags = false
	olderThan := set.Duration("older-than", 0, "spare what was alive more recently, such as 24h")
	settings := set.StringArrayP("conf", "c", nil, "a setting, KEY=VALUE; may be repeated (spark.hadoop.fs.s3a.endpoint=...)")
	properties := set.String("properties-file", "", "file of settings, one KEY VALUE a line")
	set.Usage = func() { fmt.Fprint(stderr, usage); set.PrintDefaults() }
	if err := set.Parse(args); errors.Is(err, pflag.ErrHelp) {
		return 0
	} else if err != nil {
		fmt.Fprintf(stderr, "spark-go clean: %v\n", err)
		return 2
	}
	if set.NArg() == 0 {
		set.Usage()
		return 2
	}
	if err := configure(*settings, *properties); err != nil {
		fmt.Fprintf(stderr, "spark-go clean: %v\n", err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	status := 0
	for _, uri := range set.Args() {
		done, err := filesys.Clean(ctx, uri, filesys.CleanOptions{OlderThan: *olderThan})
		kept, kerr := cleanKept(uri, *olderThan)
		err = errors.Join(err, kerr)
		report(stdout, uri, done, kept, *olderThan)
		if err != nil {
			fmt.Fprintf(stderr, "spark-go clean: %v\n", err)
			status = 1
		}
	}
	return status
}

// cleanKept removes what dead drivers kept in a directory of this machine.
func cleanKept(uri string, olderThan time.Duration) ([]resume.Removed, error) {
	dir := strings.TrimPrefix(uri, "file://")
	if strings.Contains(dir, "://") {
		return nil, nil
	}
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil, nil // as far as outputs are concerned, there is nothing to clean
	} else if err != nil {
		return nil, fmt.Errorf("clean what drivers kept in %s: %w", dir, err)
	}
	before := int64(0)
	if olderThan > 0 {
		before = time.Now().Add(-olderThan).Unix()
	}
	return resume.Clean(dir, before)
}

// configure hands settings to the file systems as a driver would.
func configure(settings []string, properties string) error {
	c := conf.New()
	if properties != "" {
		if err := c.PutFile(properties); err != nil {
			return err
		}
	}
	for _, s := range settings {
		key, value, ok := strings.Cut(s, "=")
		if !ok {
			return fmt.Errorf("--conf %s: write KEY=VALUE", s)
		}
		if err := c.Put(conf.Setting{Key: key, Value: value, Source: conf.Flag, From: "--conf"}); err != nil {
			return err
		}
	}
	set := map[string]string{}
	for _, s := range c.Settings() {
		set[s.Key] = s.Value
	}
	filesys.Configure(set)
	return nil
}

func report(w io.Writer, uri string, r filesys.CleanReport, kept []resume.Removed, olderThan time.Duration) {
	quiet := true
	say := func(format string, args ...any) {
		quiet = false
		fmt.Fprintf(w, uri+": "+format+"\n", args...)
	}
	for _, id := range r.Finished {
		say("the commit of job %s was finished: the output is complete", id)
	}
	for _, id := range r.TakenBack {
		say("the commit of job %s was taken back, since a file of it is gone: the output is what it was before", id)
	}
	for _, id := range r.Removed {
		say("the temporary files of job %s were removed", id)
	}
	if r.Uploads > 0 {
		say("%d stray uploads were aborted", r.Uploads)
	}
	for _, id := range r.Spared {
		say("job %s was alive within %v: spared", id, olderThan)
	}
	for _, name := range r.Foreign {
		say("%s was not written by spark-go: left as it is", name)
	}
	for _, k := range kept {
		if k.Used {
			say("%s is used by a running driver: left as it is", filepath.Base(k.Dir))
		} else {
			say("%s was removed: what a driver that died had kept", filepath.Base(k.Dir))
		}
	}
	if quiet {
		say("nothing to clean")
	}
}
