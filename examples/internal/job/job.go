// Package job is the frame that all example programs share: their common flags, how they report for people or as one JSON object,
// and how they end.
//
// An example prints for people by default. With --json the last line of standard output is one JSON object; logs and progress go to
// standard error. It ends with status 0, with 1 and one line that names what went wrong and the remedy, or with 2 for a wrong flag.
package job

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"sort"
	"strings"
	"time"

	"github.com/spark-go/spark-go/driver"
)

var started = time.Now()

// Job is a running example.
type Job struct {
	Master     *string
	Partitions *int
	JSON       *bool

	name   string
	flags  *flag.FlagSet
	fields map[string]any
	order  []string
	loaded time.Time
	sc     *driver.Context
}

// New makes the flags that every example has. What is what the example does, in a line.
func New(name, what string) *Job {
	f := flag.NewFlagSet(name, flag.ContinueOnError)
	j := &Job{name: name, flags: f, fields: map[string]any{}}
	j.Master = f.String("master", "", "where tasks run: local[N], local[*], local-cluster[n,cores,memory] (default local[*])")
	j.Partitions = f.Int("partitions", 0, "number of partitions of shuffles; 0 lets the data decide")
	j.JSON = f.Bool("json", false, "print one JSON object on the last line of standard output")
	f.Usage = func() {
		fmt.Fprintf(f.Output(), "%s: %s\n\nUsage: go run ./examples/%s [flags]\n       spark-go submit [options] ./examples/%s -- [flags]\n\nFlags:\n", name, what, name, name)
		f.PrintDefaults()
	}
	return j
}

// Flags is where the example adds its own flags.
func (j *Job) Flags() *flag.FlagSet { return j.flags }

// Start reads the command line and starts the application. In an executor's process it does not return.
func (j *Job) Start() *driver.Context {
	switch err := j.flags.Parse(os.Args[1:]); {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(0)
	case err != nil:
		os.Exit(2)
	case j.flags.NArg() > 0:
		j.Usage("unexpected argument %q: every setting is a flag", j.flags.Arg(0))
	case *j.Partitions < 0:
		j.Usage("--partitions %d: give 0 or more", *j.Partitions)
	}
	j.sc = driver.New(driver.Name(j.name), driver.Master(*j.Master))
	j.Check(j.sc.Err())
	return j.sc
}

// PartitionCount is --partitions as the optional argument of dataset operations.
func (j *Job) PartitionCount() []int {
	if *j.Partitions == 0 {
		return nil
	}
	return []int{*j.Partitions}
}

// Usage ends the program for a wrong flag.
func (j *Job) Usage(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s: %s (see --help)\n", j.name, fmt.Sprintf(format, args...))
	if j.sc != nil {
		j.sc.Stop()
	}
	os.Exit(2)
}

// Check ends the program with status 1 if err is not nil.
func (j *Job) Check(err error) {
	if err == nil {
		return
	}
	fmt.Fprintf(os.Stderr, "%s: %s\n", j.name, strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", " "))
	if j.sc != nil {
		j.sc.Stop()
	}
	os.Exit(1)
}

// Loaded notes that the input has been read: what follows is the job itself.
func (j *Job) Loaded() { j.loaded = time.Now() }

// Set adds a key to the report, in the order of the calls.
func (j *Job) Set(key string, value any) {
	if _, ok := j.fields[key]; !ok {
		j.order = append(j.order, key)
	}
	j.fields[key] = value
}

// Finish prints the report and stops the application.
func (j *Job) Finish() {
	end := time.Now()
	if j.loaded.IsZero() {
		j.loaded = started
	}
	j.fields["load_s"] = seconds(j.loaded.Sub(started))
	j.fields["run_s"] = seconds(end.Sub(j.loaded))
	j.sc.Stop()
	j.fields["total_s"] = seconds(time.Since(started))
	if *j.JSON {
		line, err := json.Marshal(j.fields)
		j.Check(err)
		fmt.Println(string(line))
		return
	}
	for _, k := range j.order {
		j.print(k, j.fields[k])
	}
	fmt.Printf("%-14s %.3f s (load %.3f s, run %.3f s)\n", "time", j.fields["total_s"], j.fields["load_s"], j.fields["run_s"])
}

func (j *Job) print(key string, v any) {
	switch v := v.(type) {
	case [][]any:
		fmt.Printf("%s:\n", key)
		for _, row := range v {
			cells := make([]string, len(row))
			for i, c := range row {
				cells[i] = fmt.Sprint(c)
			}
			fmt.Printf("  %s\n", strings.Join(cells, "\t"))
		}
	case map[string]float64:
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		sort.Strings(keys)
		fmt.Printf("%s:\n", key)
		for _, k := range keys {
			fmt.Printf("  %-20s %.6g\n", k, v[k])
		}
	default:
		fmt.Printf("%-14s %v\n", key, v)
	}
}

func seconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1e6 }
