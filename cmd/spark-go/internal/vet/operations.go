package vet

import (
	"go/ast"
	"go/token"
	"go/types"
	"strings"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/types/typeutil"
)

// Which functions run on executors
//
// An argument runs on executors if its parameter has a function type and
//
//   - the callee is an exported function or method of this module, and the call
//     involves a dataset: an RDD is among its receiver, parameters or results; or
//   - the callee is a function of package rdd that makes a type of that package
//     out of functions, such as a partitioner or an accumulator; or
//   - the callee is a function of the package under analysis that passes the
//     parameter on to such a call.
//
// Three kinds of parameters run on the driver all the same: functions that take
// or return datasets or the driver's context (executors have neither), iterators
// (iter.Seq is consumed where it is given), and variadic options.
//
// Functions that are called by the driver for other reasons are named in driverCalls.
//
// Fields of a struct literal of package rdd given to such a call count like
// arguments.

// driverCalls names functions of this module that call their arguments on the driver.
var driverCalls = map[string]bool{
	rddPath + ".Preferring": true, // the scheduler asks for hosts
}

// A usage says how a function comes to run on executors.
type usage struct {
	op       string // the operation, as in "rdd.Map"
	call     token.Pos
	bound    bool // given to rdd.Bind or its like
	indirect bool // reached through a variable or the result of a function
	returned bool // reached through the result of a function
}

func (v *vetter) call(call *ast.CallExpr) {
	fn, ok := typeutil.Callee(v.info, call).(*types.Func)
	if !ok || fn.Pkg() == nil {
		return
	}
	fn = fn.Origin()
	switch {
	case isBind(fn):
		v.bind(call, fn)
		return
	case isCallable(fn):
		v.callable(call, fn)
		return
	default:
		for _, arg := range v.taskArguments(call, fn) {
			v.task(arg, usage{op: operationName(fn), call: call.Pos()})
		}
	}
	if reached := v.sinks[fn]; reached != nil {
		for i, arg := range call.Args {
			if op, ok := reached[min(i, fn.Signature().Params().Len()-1)]; ok {
				name := operationName(fn)
				if fn.Pkg() == v.pass.Pkg {
					name = fn.Name()
				}
				v.task(arg, usage{op: name + ", which gives it to " + op + ",", call: call.Pos()})
			}
		}
	}
}

// taskArguments returns the arguments of call, a call of fn, that run on executors.
func (v *vetter) taskArguments(call *ast.CallExpr, fn *types.Func) []ast.Expr {
	path := fn.Pkg().Path()
	inRDD := path == rddPath
	if !fn.Exported() || !inRDD && (!inModule(path) || fn.Pkg() == v.pass.Pkg) {
		return nil
	}
	sig := fn.Signature()
	if recv := sig.Recv(); recv != nil && types.IsInterface(recv.Type()) {
		return nil
	}
	if driverCalls[fn.FullName()] || !involvesDataset(sig) && !(inRDD && makesOwnType(sig)) {
		return nil
	}
	var args []ast.Expr
	for i, arg := range call.Args {
		if i >= sig.Params().Len() && !sig.Variadic() {
			break // f(g()), g returning several values
		}
		t := sig.Params().At(min(i, sig.Params().Len()-1)).Type()
		variadic := sig.Variadic() && i >= sig.Params().Len()-1
		if variadic && !call.Ellipsis.IsValid() {
			t = t.(*types.Slice).Elem()
		}
		if f, ok := t.Underlying().(*types.Signature); ok {
			if !runsOnDriver(t, f) && !(variadic && isModuleNamed(t)) {
				args = append(args, arg)
			}
			continue
		}
		args = append(args, v.functionFields(arg)...)
	}
	return args
}

// functionFields returns the function-typed elements of a composite literal of a
// struct type of package rdd.
func (v *vetter) functionFields(e ast.Expr) []ast.Expr {
	e = ast.Unparen(e)
	if u, ok := e.(*ast.UnaryExpr); ok && u.Op == token.AND {
		e = ast.Unparen(u.X)
	}
	lit, ok := e.(*ast.CompositeLit)
	if !ok {
		return nil
	}
	named, ok := types.Unalias(v.info.TypeOf(lit)).(*types.Named)
	if !ok || named.Obj().Pkg() == nil || named.Obj().Pkg().Path() != rddPath {
		return nil
	}
	var fns []ast.Expr
	for _, elt := range lit.Elts {
		if kv, ok := elt.(*ast.KeyValueExpr); ok {
			elt = kv.Value
		}
		if t := v.info.TypeOf(elt); t != nil {
			if f, ok := t.Underlying().(*types.Signature); ok && !runsOnDriver(t, f) {
				fns = append(fns, elt)
			}
		}
	}
	return fns
}

// isBind reports whether fn is rdd.Bind or one of its siblings of other arities:
// a first parameter that is the environment, a second that is the function.
func isBind(fn *types.Func) bool {
	if !inClosureAPI(fn) || !strings.HasPrefix(fn.Name(), "Bind") {
		return false
	}
	params := fn.Signature().Params()
	if params.Len() != 2 {
		return false
	}
	_, ok := params.At(1).Type().Underlying().(*types.Signature)
	return ok
}

// isCallable reports whether fn is rdd.Call or one of its siblings, which make a
// function of a value with a Call method.
func isCallable(fn *types.Func) bool {
	return inClosureAPI(fn) && strings.HasPrefix(fn.Name(), "Call") &&
		fn.Signature().Recv() == nil && fn.Signature().Params().Len() == 1
}

// inClosureAPI reports whether fn is of package rdd or of the package below it
// whose functions rdd passes on.
func inClosureAPI(fn *types.Func) bool {
	return fn.Pkg().Path() == rddPath || fn.Pkg().Path() == rddPath+"/closure"
}

func (v *vetter) bind(call *ast.CallExpr, fn *types.Func) {
	if len(call.Args) != 2 {
		return
	}
	op := operationName(fn)
	env := call.Args[0]
	v.environment(env, op, call.Pos())
	v.boundFunctions(env, usage{op: op, call: call.Pos()})
	v.task(call.Args[1], usage{op: op, call: call.Pos(), bound: true})
}

// boundFunctions looks at the functions in an environment: they travel with it.
func (v *vetter) boundFunctions(env ast.Expr, u usage) {
	env = ast.Unparen(env)
	if x, ok := env.(*ast.UnaryExpr); ok && x.Op == token.AND {
		env = ast.Unparen(x.X)
	}
	if lit, ok := env.(*ast.CompositeLit); ok {
		for _, elt := range lit.Elts {
			if kv, ok := elt.(*ast.KeyValueExpr); ok {
				elt = kv.Value
			}
			v.boundFunctions(elt, u)
		}
		return
	}
	if t := v.info.TypeOf(env); t != nil {
		if _, ok := t.Underlying().(*types.Signature); ok {
			v.task(env, u)
		}
	}
}

func (v *vetter) callable(call *ast.CallExpr, fn *types.Func) {
	if len(call.Args) == 1 {
		v.environment(call.Args[0], operationName(fn), call.Pos())
		v.boundFunctions(call.Args[0], usage{op: operationName(fn), call: call.Pos()})
	}
}

// task looks at an expression whose value runs on executors, and follows it to
// the literals and functions it stands for.
func (v *vetter) task(e ast.Expr, u usage) {
	e = ast.Unparen(e)
	switch e := e.(type) {
	case *ast.FuncLit:
		v.literal(e, u)
	case *ast.Ident:
		v.reference(e, e, u)
	case *ast.IndexExpr:
		v.instance(e, e.X, u)
	case *ast.IndexListExpr:
		v.instance(e, e.X, u)
	case *ast.SelectorExpr:
		v.selector(e, u)
	case *ast.CallExpr:
		if tv := v.info.Types[e.Fun]; tv.IsType() && len(e.Args) == 1 {
			v.task(e.Args[0], u) // a conversion
			return
		}
		v.maker(e, u)
	}
}

// instance follows f in f[T1, T2]; a field or an element of a slice is not followed.
func (v *vetter) instance(e, x ast.Expr, u usage) {
	switch x := ast.Unparen(x).(type) {
	case *ast.Ident:
		if _, ok := v.info.Uses[x].(*types.Func); ok {
			v.reference(e, x, u)
		}
	case *ast.SelectorExpr:
		if _, ok := v.info.Uses[x.Sel].(*types.Func); ok {
			v.reference(e, x.Sel, u)
		}
	}
}

// reference follows a name: a declared function, or a variable to what it was
// assigned.
func (v *vetter) reference(e ast.Expr, id *ast.Ident, u usage) {
	switch obj := v.info.Uses[id].(type) {
	case *types.Func:
		for arg := range v.info.Instances[id].TypeArgs.Types() {
			if mentionsTypeParam(arg) {
				v.genericValue(e, u)
				return
			}
		}
		v.declared(obj.Origin(), u)
	case *types.Var:
		if isPackageLevel(obj) || obj.IsField() {
			return
		}
		idx := v.packageIndex()
		if p, ok := idx.params[obj]; ok {
			if !u.returned {
				v.addSink(p, u.op)
			}
			return
		}
		if v.done[id] {
			return
		}
		v.done[id] = true
		if idx.addressed[obj] {
			return
		}
		u.indirect = true
		for _, value := range idx.values[obj] {
			v.task(value, u)
		}
	}
}

func (v *vetter) addSink(p param, op string) {
	if v.sinks[p.fn] == nil {
		v.sinks[p.fn] = make(map[int]string)
	}
	if _, ok := v.sinks[p.fn][p.index]; !ok {
		op, _, _ = strings.Cut(op, ",")
		v.sinks[p.fn][p.index] = op
	}
}

func (v *vetter) selector(e *ast.SelectorExpr, u usage) {
	sel := v.info.Selections[e]
	if sel == nil {
		v.reference(e, e.Sel, u) // pkg.F
		return
	}
	switch sel.Kind() {
	case types.MethodVal:
		v.methodValue(e, sel, u)
	case types.MethodExpr:
		if mentionsTypeParam(sel.Recv()) {
			v.genericValue(e, u)
			return
		}
		v.declared(sel.Obj().(*types.Func).Origin(), u)
	}
}

// maker follows a call of a function of this package to the literals it returns.
func (v *vetter) maker(call *ast.CallExpr, u usage) {
	fn, ok := typeutil.Callee(v.info, call).(*types.Func)
	if !ok || fn.Pkg() != v.pass.Pkg || isBind(fn.Origin()) {
		return
	}
	decl := v.packageIndex().decls[fn.Origin()]
	if decl == nil || decl.Body == nil || v.done[decl.Type] {
		return
	}
	v.done[decl.Type] = true
	u.op += " through " + fn.Name()
	u.indirect, u.returned = true, true
	ast.Inspect(decl.Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			return false
		case *ast.ReturnStmt:
			if len(n.Results) == 1 {
				v.task(n.Results[0], u)
			}
		}
		return true
	})
}

// declared looks at the body of a function declared in this package.
func (v *vetter) declared(fn *types.Func, u usage) {
	decl := v.packageIndex().decls[fn]
	if decl == nil || decl.Body == nil || v.done[decl] {
		return
	}
	v.done[decl] = true
	v.executorBody(decl.Body, u)
}

// genericValue reports an instance of a generic function or method whose type
// arguments are only known when the enclosing function runs.
func (v *vetter) genericValue(e ast.Expr, u usage) {
	if v.done[e] {
		return
	}
	v.done[e] = true
	v.add(u.call, analysis.Diagnostic{
		Pos: e.Pos(), End: e.End(), Category: categoryGeneric,
		Message: "function given to " + u.op + " is instantiated with type parameters of the enclosing function, " +
			"which captures a hidden type dictionary: give a struct with a Call method through rdd.Call",
	})
}

func inModule(path string) bool {
	return strings.HasPrefix(path, modulePath+"/")
}

// isModuleNamed reports whether t is a named type declared in this module.
func isModuleNamed(t types.Type) bool {
	named, ok := types.Unalias(t).(*types.Named)
	return ok && named.Obj().Pkg() != nil && inModule(named.Obj().Pkg().Path())
}

// involvesDataset reports whether an RDD is among the receiver, parameters and
// results of a signature.
func involvesDataset(sig *types.Signature) bool {
	if recv := sig.Recv(); recv != nil && containsDataset(recv.Type()) {
		return true
	}
	return tupleHas(sig.Params(), containsDataset) || tupleHas(sig.Results(), containsDataset)
}

// makesOwnType reports whether a function without receiver returns a type of its
// own module.
func makesOwnType(sig *types.Signature) bool {
	return sig.Recv() == nil && tupleHas(sig.Results(), func(t types.Type) bool {
		if p, ok := t.(*types.Pointer); ok {
			t = p.Elem()
		}
		_, isFunc := t.Underlying().(*types.Signature)
		return isModuleNamed(t) && !isFunc
	})
}

// runsOnDriver reports whether a function-typed parameter is called by the driver.
func runsOnDriver(t types.Type, sig *types.Signature) bool {
	if named, ok := types.Unalias(t).(*types.Named); ok && named.Obj().Pkg() != nil && named.Obj().Pkg().Path() == "iter" {
		return true
	}
	driverOnly := func(t types.Type) bool { return containsDataset(t) || isDriverObject(t) }
	return tupleHas(sig.Params(), driverOnly) || tupleHas(sig.Results(), driverOnly)
}

func tupleHas(tuple *types.Tuple, has func(types.Type) bool) bool {
	for v := range tuple.Variables() {
		if has(v.Type()) {
			return true
		}
	}
	return false
}

// containsDataset reports whether t is an RDD, or a pointer, slice, array or map of RDDs.
func containsDataset(t types.Type) bool {
	switch t := types.Unalias(t).(type) {
	case *types.Named:
		return isDataset(t)
	case *types.Pointer:
		return containsDataset(t.Elem())
	case *types.Slice:
		return containsDataset(t.Elem())
	case *types.Array:
		return containsDataset(t.Elem())
	case *types.Map:
		return containsDataset(t.Elem())
	}
	return false
}

// isDataset reports whether t is rdd.RDD or a dataset type built on it.
func isDataset(t *types.Named) bool {
	obj := t.Obj()
	return obj.Pkg() != nil && obj.Pkg().Path() == rddPath && strings.HasSuffix(obj.Name(), "RDD")
}

// isDriverObject reports whether t is, or points to, a type of package driver or rdd.Session.
func isDriverObject(t types.Type) bool {
	if p, ok := types.Unalias(t).(*types.Pointer); ok {
		t = p.Elem()
	}
	named, ok := types.Unalias(t).(*types.Named)
	if !ok || named.Obj().Pkg() == nil {
		return false
	}
	switch named.Obj().Pkg().Path() {
	case driverPath:
		return true
	case rddPath:
		return named.Obj().Name() == "Session"
	}
	return false
}

// operationName names a function the way a reader of a call would: rdd.Map,
// RDD.Filter.
func operationName(fn *types.Func) string {
	if recv := fn.Signature().Recv(); recv != nil {
		t := recv.Type()
		if p, ok := t.(*types.Pointer); ok {
			t = p.Elem()
		}
		if named, ok := t.(*types.Named); ok {
			return named.Obj().Name() + "." + fn.Name()
		}
	}
	return fn.Pkg().Name() + "." + fn.Name()
}

// isPackageLevel reports whether v is a package variable.
func isPackageLevel(v *types.Var) bool {
	return v.Pkg() != nil && v.Parent() == v.Pkg().Scope()
}
