// Package job is the frame that all example programs share: their common flags, how they report, for people or as one JSON
// object, and how they end.
//
// An example prints for people by default. With --json the last line of standard output is one JSON object and nothing else goes
// there; logs and progress go to standard error. A program ends with status 0; with 1 and one line that names what went wrong and
// the remedy; with 2 and one line for a wrong flag; or by the signal that interrupted it.
package job

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spark-go/spark-go/driver"
)

var started = time.Now()

// Job is a running example.
type Job struct {
	flags
	name   string
	sc     *driver.Context
	fields map[string]any
	order  []string // of the fields, as Set was called
	loaded time.Time
	done   time.Time
	checks []func() // of the command line
	save   *string  // where the model goes
}

// New makes the flags that every example has. What says what the example does, in a line.
func New(name, what string) *Job {
	j := &Job{name: name, fields: map[string]any{}}
	j.declare(name, what)
	return j
}

// Parse reads the command line, for programs that look at it before they start. --help and a wrong flag end the program.
func (j *Job) Parse() {
	if err := j.parse(os.Args[1:]); err != nil {
		j.Usage("%v", err)
	}
	if j.help {
		j.usage(os.Stdout)
		os.Exit(0)
	}
	for _, check := range j.checks {
		check()
	}
}

// Start reads the command line and starts the application. In an executor's process it does not return.
func (j *Job) Start() *driver.Context {
	if !j.set.Parsed() {
		j.Parse()
	}
	options := []driver.Option{driver.Name(j.name), driver.Master(j.master)}
	if j.resume != "" {
		options = append(options, driver.Set("spark.checkpoint.dir", j.resume))
	}
	j.sc = driver.New(options...)
	j.Check(j.sc.Err())
	j.Check(j.defaultInputs())
	j.Check(j.canSave())
	return j.sc
}

// Check ends the program with status 1 and one line if err is not nil.
func (j *Job) Check(err error) {
	if err == nil {
		return
	}
	if errors.Is(err, driver.ErrStopped) {
		// The driver was interrupted: it ends the process as the signal would have, once its executors are gone.
		time.Sleep(time.Minute)
	}
	j.exit(1, err.Error())
}

// Fail ends the program with status 1 and a line that names what is wrong and the remedy.
func (j *Job) Fail(format string, args ...any) { j.exit(1, fmt.Sprintf(format, args...)) }

// Usage ends the program with status 2, for flags that do not go together.
func (j *Job) Usage(format string, args ...any) {
	j.exit(2, fmt.Sprintf(format, args...)+" (see --help)")
}

func (j *Job) exit(status int, message string) {
	if j.sc != nil {
		j.sc.Stop()
	}
	fmt.Fprintf(os.Stderr, "%s: %s\n", j.name, strings.Join(strings.Fields(message), " "))
	os.Exit(status)
}

// Loaded notes that the input has been read: what follows is the job itself.
func (j *Job) Loaded() { j.loaded = time.Now() }

// Done notes that the job itself has ended: what follows looks at its result.
func (j *Job) Done() { j.done = time.Now() }

// Set adds a key to the report. People see the keys in the order of the calls.
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
	if j.done.IsZero() {
		j.done = end
	}
	load, run := j.loaded.Sub(started).Seconds(), j.done.Sub(j.loaded).Seconds()
	j.sc.Stop()
	total := time.Since(started).Seconds()
	if j.json {
		j.fields["load_s"], j.fields["run_s"], j.fields["total_s"] = round(load), round(run), round(total)
		line, err := json.Marshal(j.fields)
		j.Check(err)
		fmt.Println(string(line))
		return
	}
	for _, key := range j.order {
		printField(key, j.fields[key])
	}
	fmt.Printf("%-14s %.3f s (load %.3f s, run %.3f s)\n", "time", total, load, run)
}

// round leaves microseconds.
func round(seconds float64) float64 { return math.Round(seconds*1e6) / 1e6 }

// printField shows one field: tables with a column as wide as its widest cell, everything else on a line.
func printField(key string, v any) {
	table, ok := v.([][]any)
	if !ok {
		fmt.Printf("%-14s %v\n", key, v)
		return
	}
	fmt.Printf("%s:\n", key)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for _, row := range table {
		for i, cell := range row {
			if i > 0 {
				fmt.Fprint(w, "\t")
			}
			fmt.Fprintf(w, "  %v", cell)
		}
		fmt.Fprintln(w)
	}
	_ = w.Flush() // standard output
}

// Number is x as JSON can hold it: null for what is not a finite number.
func Number(x float64) any {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return nil
	}
	return x
}
