// Package vet finds functions that cannot run on an executor, before the
// program is shipped to one.
//
// A function given to a dataset operation is called in other processes. Driver
// and executors run the same executable, so a function travels as a reference
// to its code; a closure has variables besides code, and those stay behind. The
// rule is therefore that such a function captures nothing, and that what it
// needs is bound by value with rdd.Bind. The rdd package enforces the rule when
// the program runs; this package finds the offence when it is compiled, says
// which variables are captured and of which types, and can rewrite the literal.
//
// The analyser is made of five parts, one a file:
//
//   - operations.go decides which arguments of which calls run on executors, and
//     follows such an argument to the literals that may be its value;
//   - captures.go lists what a literal captures and what it does with it;
//   - methods.go does so for method values;
//   - travel.go knows the types whose values mean nothing in another process;
//   - fix.go rewrites a capturing literal into Bind form.
//
// command.go is the command line around it.
//
// What it reports is certain up to the rules in operations.go: a value whose
// origin cannot be followed (a function parameter, a struct field, an element of
// a slice) is never reported. It keeps no facts about other packages, so a
// package is analysed from its own syntax and the export data of its imports.
package vet

import (
	"cmp"
	"go/ast"
	"go/token"
	"go/types"
	"slices"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/passes/inspect"
	"golang.org/x/tools/go/ast/inspector"
)

const (
	modulePath = "github.com/spark-go/spark-go"
	rddPath    = modulePath + "/rdd"
	driverPath = modulePath + "/driver"
)

// Categories of findings, as they appear in analysis.Diagnostic.Category and in
// the output of -json.
const (
	categoryCapture = "capture" // a function captures variables
	categoryTravel  = "travel"  // something captured or bound cannot travel
	categoryGeneric = "generic" // a function holds the dictionary of a generic one
	categoryMethod  = "method"  // a method value captures its receiver
	categoryLost    = "lost"    // an assignment is lost with the executor
	categoryNested  = "nested"  // a dataset or the driver is used inside a function
)

// Analyzer reports functions given to dataset operations that capture variables
// or otherwise cannot run on an executor. Most findings about captures carry a
// suggested fix.
var Analyzer = &analysis.Analyzer{
	Name: "sparkvet",
	Doc: "report functions given to dataset operations that capture variables\n\n" +
		"Such functions run in executor processes and travel as references to code:\n" +
		"what they need has to be bound by value with rdd.Bind.",
	URL:      "https://pkg.go.dev/" + modulePath + "/cmd/spark-go",
	Requires: []*analysis.Analyzer{inspect.Analyzer},
	Run:      run,
}

// A vetter holds the state of one package's analysis.
type vetter struct {
	pass    *analysis.Pass
	info    *types.Info
	root    inspector.Cursor
	index   *packageIndex
	sinks   map[*types.Func]map[int]string // parameters that reach an operation, and its name
	tasks   map[*ast.FuncLit]bool          // literals that run on executors
	done    map[ast.Node]bool              // functions already looked at
	found   []finding
	envType map[*ast.FuncDecl][]string // names given to environment types by fixes
}

// A finding is a diagnostic and the call that caused it. Findings of calls
// inside a literal that itself runs on executors are dropped: the dataset that
// such a call works on is reported there already.
type finding struct {
	diag analysis.Diagnostic
	call token.Pos
}

func run(pass *analysis.Pass) (any, error) {
	root := pass.ResultOf[inspect.Analyzer].(*inspector.Inspector).Root()
	v := &vetter{
		pass:    pass,
		info:    pass.TypesInfo,
		root:    root,
		sinks:   make(map[*types.Func]map[int]string),
		tasks:   make(map[*ast.FuncLit]bool),
		done:    make(map[ast.Node]bool),
		envType: make(map[*ast.FuncDecl][]string),
	}
	// A function that passes its parameter on to an operation makes its own
	// callers' arguments task functions, so the calls are looked at until no
	// such parameter is found any more.
	for {
		known := v.countSinks()
		for cur := range root.Preorder((*ast.CallExpr)(nil)) {
			v.call(cur.Node().(*ast.CallExpr))
		}
		if v.countSinks() == known {
			break
		}
	}
	v.report()
	return nil, nil
}

func (v *vetter) countSinks() int {
	n := 0
	for _, params := range v.sinks {
		n += len(params)
	}
	return n
}

func (v *vetter) add(call token.Pos, d analysis.Diagnostic) {
	v.found = append(v.found, finding{diag: d, call: call})
}

func (v *vetter) report() {
	slices.SortStableFunc(v.found, func(a, b finding) int { return cmp.Compare(a.diag.Pos, b.diag.Pos) })
	for _, f := range v.found {
		if !v.insideTask(f.call) {
			v.pass.Report(f.diag)
		}
	}
}

func (v *vetter) insideTask(pos token.Pos) bool {
	for lit := range v.tasks {
		if lit.Pos() < pos && pos < lit.End() {
			return true
		}
	}
	return false
}

// fileOf returns the syntax of the file that pos is in.
func (v *vetter) fileOf(pos token.Pos) *ast.File {
	for _, f := range v.pass.Files {
		if f.FileStart <= pos && pos < f.FileEnd {
			return f
		}
	}
	return nil
}

// typeName writes a type as a reader of this package would: its own types bare,
// those of others with their package's name.
func (v *vetter) typeName(t types.Type) string {
	return types.TypeString(t, func(p *types.Package) string {
		if p == v.pass.Pkg {
			return ""
		}
		return p.Name()
	})
}
