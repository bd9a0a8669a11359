package vet

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"go/format"
	"go/token"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/checker"
	"golang.org/x/tools/go/packages"
)

// Exit statuses of Main.
const (
	exitClean    = 0
	exitFindings = 1
	exitError    = 2
)

// maxFaults is how many errors of a program that does not compile are printed.
const maxFaults = 10

const usageText = `usage: spark-go vet [-fix] [-json] [-test] [packages]

Reports functions given to dataset operations that capture variables or otherwise cannot run on executors.
Packages are patterns as for go build; the default is ./...

  -fix   rewrite capturing functions into rdd.Bind form where that is safe, and report what is left
  -json  print the findings as a JSON array
  -test  look at test files too

Exit status: 0 nothing found, 1 findings, 2 the packages could not be loaded.
`

// A Finding is one problem as printed by -json.
type Finding struct {
	File     string `json:"file"`
	Line     int    `json:"line"`
	Column   int    `json:"column"`
	Category string `json:"category"` // capture, travel, generic, method, lost or nested
	Message  string `json:"message"`
	Fixable  bool   `json:"fixable"` // -fix can rewrite it

	edits []edit
}

// An edit replaces bytes [start, end) of a file.
type edit struct {
	file       string
	start, end int
	text       string
}

// Main runs spark-go vet with the arguments that follow "vet" and returns the
// exit status: 0 without findings, 1 with some, 2 if the arguments or the
// packages are faulty. Findings go to stdout, errors and summaries to stderr.
func Main(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("spark-go vet", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprint(stderr, usageText) }
	fix := flags.Bool("fix", false, "")
	asJSON := flags.Bool("json", false, "")
	tests := flags.Bool("test", false, "")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return exitClean
	case err != nil:
		return exitError
	}
	patterns := flags.Args()
	if len(patterns) == 0 {
		patterns = []string{"./..."}
	}
	findings, err := analyse(patterns, *tests, nil)
	if err != nil {
		fmt.Fprintf(stderr, "spark-go vet: %v\n", err)
		return exitError
	}
	if *fix {
		findings, err = applyFixes(findings, patterns, *tests, stderr)
		if err != nil {
			fmt.Fprintf(stderr, "spark-go vet: %v\n", err)
			return exitError
		}
	}
	if err := printFindings(stdout, findings, *asJSON); err != nil {
		fmt.Fprintf(stderr, "spark-go vet: print findings: %v\n", err)
		return exitError
	}
	if len(findings) > 0 {
		return exitFindings
	}
	return exitClean
}

// analyse loads the packages, with the given contents in place of files, and
// returns what the analyser finds, by file and position. Only the named
// packages are parsed; what they import comes from the build cache.
func analyse(patterns []string, tests bool, overlay map[string][]byte) ([]Finding, error) {
	pkgs, err := packages.Load(&packages.Config{
		Mode: packages.NeedName | packages.NeedFiles | packages.NeedCompiledGoFiles | packages.NeedImports |
			packages.NeedTypes | packages.NeedTypesSizes | packages.NeedSyntax | packages.NeedTypesInfo | packages.NeedModule,
		Tests:   tests,
		Overlay: overlay,
	}, patterns...)
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", strings.Join(patterns, " "), err)
	}
	if len(pkgs) == 0 {
		return nil, fmt.Errorf("load %s: no such packages: name a directory such as ./examples/als or a pattern such as \"./...\" instead",
			strings.Join(patterns, " "))
	}
	var faults []error
	sources := make(map[string]bool) // what was written by hand, so not cgo's output
	packages.Visit(pkgs, nil, func(pkg *packages.Package) {
		for _, e := range pkg.Errors {
			if e.Kind == packages.ListError && strings.HasPrefix(e.Msg, "# ") && len(pkg.Errors) > 1 {
				continue // the compiler's output, which the others repeat
			}
			faults = append(faults, e)
		}
		for _, f := range pkg.GoFiles {
			sources[f] = true
		}
	})
	if more := len(faults) - maxFaults; more > 0 {
		faults = append(faults[:maxFaults], fmt.Errorf("and %d more", more))
	}
	if len(faults) > 0 {
		return nil, fmt.Errorf("load %s: the program does not compile:\n%w", strings.Join(patterns, " "), errors.Join(faults...))
	}
	graph, err := checker.Analyze([]*analysis.Analyzer{Analyzer}, pkgs, nil)
	if err != nil {
		return nil, fmt.Errorf("analyse %s: %w", strings.Join(patterns, " "), err)
	}
	var findings []Finding
	seen := make(map[string]bool) // a package and its test variant share files
	for _, act := range graph.Roots {
		if act.Err != nil {
			return nil, fmt.Errorf("analyse %s: %w", act.Package.PkgPath, act.Err)
		}
		for _, d := range act.Diagnostics {
			f := newFinding(act.Package.Fset, d, sources)
			if key := fmt.Sprint(f.File, f.Line, f.Column, f.Message); !seen[key] {
				seen[key] = true
				findings = append(findings, f)
			}
		}
	}
	slices.SortFunc(findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Message, b.Message))
	})
	return findings, nil
}

func newFinding(fset *token.FileSet, d analysis.Diagnostic, sources map[string]bool) Finding {
	p := fset.Position(d.Pos)
	f := Finding{File: relative(p.Filename), Line: p.Line, Column: p.Column, Category: d.Category, Message: d.Message}
	for _, fix := range d.SuggestedFixes[:min(1, len(d.SuggestedFixes))] {
		f.Fixable = true
		for _, e := range fix.TextEdits {
			start, end := fset.PositionFor(e.Pos, false), fset.PositionFor(e.End, false)
			f.Fixable = f.Fixable && sources[start.Filename]
			f.edits = append(f.edits, edit{file: start.Filename, start: start.Offset, end: end.Offset, text: string(e.NewText)})
		}
	}
	return f
}

// relative shortens the name of a file below the working directory.
func relative(name string) string {
	wd, err := os.Getwd()
	if err != nil {
		return name
	}
	rel, err := filepath.Rel(wd, name)
	if err != nil || strings.HasPrefix(rel, "..") {
		return name
	}
	return rel
}

func printFindings(w io.Writer, findings []Finding, asJSON bool) error {
	var buf bytes.Buffer
	if asJSON {
		enc := json.NewEncoder(&buf)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "\t")
		if findings == nil {
			findings = []Finding{}
		}
		if err := enc.Encode(findings); err != nil {
			return err
		}
	} else {
		for _, f := range findings {
			fmt.Fprintf(&buf, "%s:%d:%d: %s\n", f.File, f.Line, f.Column, f.Message)
		}
	}
	_, err := w.Write(buf.Bytes())
	return err
}

// applyFixes rewrites the files and returns what is found in them afterwards.
// The rewritten program is compiled and analysed before a file is touched, so
// that either all files are written or none is.
func applyFixes(findings []Finding, patterns []string, tests bool, stderr io.Writer) ([]Finding, error) {
	byFile := make(map[string][]edit)
	fixed := 0
	for _, f := range findings {
		if f.Fixable && merge(byFile, f.edits) {
			fixed++
		}
	}
	contents := make(map[string][]byte)
	for _, name := range slices.Sorted(maps.Keys(byFile)) {
		src, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("fix %s: %w", name, err)
		}
		if contents[name], err = format.Source(rewrite(src, byFile[name])); err != nil {
			return nil, fmt.Errorf("fix %s: the rewritten file does not parse, nothing was written: %w", name, err)
		}
	}
	left := findings
	if fixed > 0 {
		var err error
		if left, err = analyse(patterns, tests, contents); err != nil {
			return nil, fmt.Errorf("fix: nothing was written, make the change by hand: %w", err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(contents)) {
		if err := replaceFile(name, contents[name]); err != nil {
			return nil, fmt.Errorf("fix %s: %w", name, err)
		}
	}
	fmt.Fprintf(stderr, "spark-go vet: fixed %d of %d findings, files rewritten: %d\n", fixed, len(findings), len(contents))
	return left, nil
}

// merge adds the edits of one fix unless one of them overlaps another fix's;
// the same insertion asked for twice, such as an import, is made once.
func merge(byFile map[string][]edit, edits []edit) bool {
	var add []edit
	for _, e := range edits {
		dup := false
		for _, old := range byFile[e.file] {
			if old == e {
				dup = true
			} else if e.start < old.end && old.start < e.end {
				return false
			}
		}
		if !dup {
			add = append(add, e)
		}
	}
	for _, e := range add {
		byFile[e.file] = append(byFile[e.file], e)
	}
	return true
}

// rewrite applies edits that do not overlap; insertions at one place keep their order.
func rewrite(src []byte, edits []edit) []byte {
	slices.SortStableFunc(edits, func(a, b edit) int { return cmp.Compare(a.start, b.start) })
	var out bytes.Buffer
	at := 0
	for _, e := range edits {
		out.Write(src[at:e.start])
		out.WriteString(e.text)
		at = e.end
	}
	out.Write(src[at:])
	return out.Bytes()
}

// replaceFile writes a file through a temporary one, so that an interruption
// leaves the old contents, and keeps its permissions.
func replaceFile(name string, content []byte) error {
	name, err := filepath.EvalSymlinks(name)
	if err != nil {
		return err
	}
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(name), ".spark-go-vet-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(content)
	err = errors.Join(err, tmp.Chmod(info.Mode().Perm()), tmp.Close())
	if err != nil {
		return err
	}
	return os.Rename(tmp.Name(), name)
}
