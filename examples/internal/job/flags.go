package job

import (
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
)

// flags is the command line of an example.
type flags struct {
	set        *flag.FlagSet
	what       string
	master     string
	resume     string
	partitions int
	json, help bool
	inputs     []*flag.Flag // whose defaults are files of the repository
	switches   []string     // that may be followed by their value
}

func (f *flags) declare(name, what string) {
	f.set = flag.NewFlagSet(name, flag.ContinueOnError)
	f.set.SetOutput(io.Discard) // the caller says what is wrong, in one line
	f.what = what
	f.set.StringVar(&f.master, "master", "", "where tasks run: `local[N]`, local[*] or local-cluster[n,cores,memory]; default local[*], or what spark-go submit says")
	f.set.StringVar(&f.resume, "resume", "", "keep what is finished in `DIR`: started again after it died, the program goes on from there")
	f.Int(&f.partitions, "partitions", 0, 0, "shuffles make `N` partitions; 0 lets the data decide")
	f.set.BoolVar(&f.json, "json", false, "print one JSON object, on the last line of standard output")
	f.set.BoolVar(&f.help, "help", false, "print this and exit")
	f.set.BoolVar(&f.help, "h", false, "")
}

// String declares a text flag. In the usage of this and all others, a word in backquotes names the value.
func (f *flags) String(p *string, name, value, usage string) { f.set.StringVar(p, name, value, usage) }

// Bool declares a switch.
func (f *flags) Bool(p *bool, name string, usage string) { f.set.BoolVar(p, name, false, usage) }

// Switch declares a flag that is true or false and, given alone, true. As other flags take their value after a space, so does it.
func (f *flags) Switch(p *bool, name string, value bool, usage string) {
	f.set.BoolVar(p, name, value, usage)
	f.switches = append(f.switches, name)
}

// Input declares a flag for URIs: paths, directories, globs or comma lists of them. The default lies in the repository. A program that
// will not read it sets *p to something else before Start.
func (f *flags) Input(p *string, name, value, usage string) {
	f.set.StringVar(p, name, value, usage)
	f.inputs = append(f.inputs, f.set.Lookup(name))
}

// Int declares a flag for a whole number that is not below least.
func (f *flags) Int(p *int, name string, value, least int, usage string) {
	*p = value
	f.set.Var(&number[int]{p, func(s string) (int, error) {
		n, err := strconv.Atoi(s)
		if err != nil || n < least {
			return 0, fmt.Errorf("give a whole number, at least %d", least)
		}
		return n, nil
	}}, name, usage)
}

// Float declares a flag for a number from least to most.
func (f *flags) Float(p *float64, name string, value, least, most float64, usage string) {
	*p = value
	f.set.Var(&number[float64]{p, func(s string) (float64, error) {
		x, err := strconv.ParseFloat(s, 64)
		if err != nil || !(x >= least && x <= most) {
			return 0, fmt.Errorf("give a number from %g to %g", least, most)
		}
		return x, nil
	}}, name, usage)
}

// number is a flag.Value that holds numbers to a range.
type number[T int | float64] struct {
	p     *T
	parse func(string) (T, error)
}

func (n *number[T]) String() string {
	if n.p == nil {
		return ""
	}
	return fmt.Sprint(*n.p)
}

func (n *number[T]) Set(s string) (err error) {
	x, err := n.parse(s)
	if err == nil {
		*n.p = x
	}
	return err
}

// Checkpoints declares the flags of programs that train: where they save their state, and after how many of what.
func (f *flags) Checkpoints(dir *string, interval *int, what string) {
	f.String(dir, "checkpoint", "", "save the state of the training in the directory `URI`, and go on from there if it is begun again")
	f.Int(interval, "checkpoint-interval", 10, 1, "save it every `N` "+what)
}

// Given tells whether the command line sets a flag.
func (f *flags) Given(name string) bool {
	given := false
	f.set.Visit(func(fl *flag.Flag) { given = given || fl.Name == name })
	return given
}

// Partitions is --partitions as the optional argument of dataset operations.
func (f *flags) Partitions() []int {
	if f.partitions == 0 {
		return nil
	}
	return []int{f.partitions}
}

// JSON tells whether the report is for programs.
func (f *flags) JSON() bool { return f.json }

func (f *flags) parse(args []string) error {
	if err := f.set.Parse(joinSwitches(args, f.switches)); err != nil {
		// Package flag writes one dash.
		s := strings.NewReplacer("flag -", "flag --", "defined: -", "defined: --", "argument: -", "argument: --").Replace(err.Error())
		return fmt.Errorf("%s", s)
	}
	if f.set.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q: every setting is a flag", f.set.Arg(0))
	}
	return nil
}

// joinSwitches writes the value of a switch behind an equals sign, where package flag looks for it.
func joinSwitches(args, switches []string) []string {
	var out []string
	for i := 0; i < len(args); i++ {
		a := args[i]
		name := strings.TrimPrefix(strings.TrimPrefix(a, "-"), "-")
		if len(name) < len(a) && slices.Contains(switches, name) && i+1 < len(args) && (args[i+1] == "true" || args[i+1] == "false") {
			i++
			a += "=" + args[i]
		}
		out = append(out, a)
	}
	return out
}

// defaultInputs says what to do where an input was left to its default and the program does not run in the repository.
func (f *flags) defaultInputs() error {
	for _, in := range f.inputs {
		if f.Given(in.Name) || in.Value.String() != in.DefValue {
			continue
		}
		if _, err := os.Stat(in.DefValue); err != nil {
			return fmt.Errorf("the default input %s is not here: run in the root of the repository, or name your data with --%s", in.DefValue, in.Name)
		}
	}
	return nil
}

func (f *flags) usage(w io.Writer) {
	name := f.set.Name()
	fmt.Fprintf(w, "%s %s.\n\nUsage: go run ./examples/%s [flags]\n       spark-go submit [options] ./examples/%s -- [flags]\n\nFlags:\n", name, f.what, name, name)
	f.set.VisitAll(func(fl *flag.Flag) {
		value, usage := flag.UnquoteUsage(fl)
		if usage == "" {
			return
		}
		if _, isSwitch := fl.Value.(interface{ IsBoolFlag() bool }); !isSwitch && fl.DefValue != "" {
			usage += fmt.Sprintf(" (default %s)", fl.DefValue)
		}
		fmt.Fprintf(w, "  %-26s %s\n", strings.TrimSpace("--"+fl.Name+" "+value), usage)
	})
}
