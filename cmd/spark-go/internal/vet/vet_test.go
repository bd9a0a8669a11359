package vet

import (
	"flag"
	"go/ast"
	"go/format"
	"os"
	"strings"
	"testing"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/analysistest"
)

// TestCorpus runs the analyser over functions that are named for what they are:
// Bad ones must be reported, Good ones must not. The want comments hold the
// messages; the counts hold the recall and the false positives.
func TestCorpus(t *testing.T) {
	results := analysistest.Run(t, analysistest.TestData(), Analyzer,
		"captures", "travel", "nested", "generic", "lost", "methods", "flow", "alias")
	var bad, missed, good, falsePositives int
	for _, res := range results {
		for _, file := range res.Action.Package.Syntax {
			for _, d := range file.Decls {
				fd, ok := d.(*ast.FuncDecl)
				if !ok {
					continue
				}
				switch reported := reportsIn(fd, res.Action.Diagnostics, res.Action.Package.Syntax); {
				case strings.HasPrefix(fd.Name.Name, "Bad"):
					bad++
					if !reported {
						missed++
						t.Errorf("%s.%s: not reported", res.Action.Package.Name, fd.Name.Name)
					}
				case strings.HasPrefix(fd.Name.Name, "Good"):
					good++
					if reported {
						falsePositives++
						t.Errorf("%s.%s: reported", res.Action.Package.Name, fd.Name.Name)
					}
				}
			}
		}
	}
	t.Logf("%d faulty functions, %d missed; %d sound functions, %d reported", bad, missed, good, falsePositives)
	if bad+good < 60 {
		t.Errorf("the corpus has %d cases, want at least 60", bad+good)
	}
}

// reportsIn reports whether a diagnostic lies in the function or in a function
// of the same file that it calls to make its argument.
func reportsIn(fd *ast.FuncDecl, diags []analysis.Diagnostic, files []*ast.File) bool {
	in := func(fd *ast.FuncDecl) bool {
		for _, d := range diags {
			if fd.Pos() <= d.Pos && d.Pos < fd.End() {
				return true
			}
		}
		return false
	}
	if in(fd) {
		return true
	}
	called := make(map[string]bool)
	ast.Inspect(fd, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			if id, ok := call.Fun.(*ast.Ident); ok {
				called[id.Name] = true
			}
		}
		return true
	})
	for _, f := range files {
		for _, d := range f.Decls {
			if helper, ok := d.(*ast.FuncDecl); ok && helper != fd && called[helper.Name.Name] && in(helper) {
				return true
			}
		}
	}
	return false
}

var update = flag.Bool("update", false, "write the golden files of TestFixes")

// TestFixes compares what -fix makes of the files with the golden ones.
func TestFixes(t *testing.T) {
	if *update {
		writeGolden(t)
	}
	analysistest.RunWithSuggestedFixes(t, analysistest.TestData(), Analyzer, "fixes", "alias")
}

func writeGolden(t *testing.T) {
	byFile := make(map[string][]edit)
	for _, res := range analysistest.Run(t, analysistest.TestData(), Analyzer, "fixes", "alias") {
		sources := make(map[string]bool)
		for _, name := range res.Action.Package.GoFiles {
			sources[name] = true
		}
		for _, d := range res.Action.Diagnostics {
			if f := newFinding(res.Action.Package.Fset, d, sources); f.Fixable && !merge(byFile, f.edits) {
				t.Errorf("%s:%d: the fix overlaps another", f.File, f.Line)
			}
		}
	}
	for name, edits := range byFile {
		src, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		fixed, err := format.Source(rewrite(src, edits))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name+".golden", fixed, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
