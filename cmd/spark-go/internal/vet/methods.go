package vet

import (
	"fmt"
	"go/ast"
	"go/types"

	"golang.org/x/tools/go/analysis"
)

// methodValue reports x.M given as a function: it captures x.
func (v *vetter) methodValue(e *ast.SelectorExpr, sel *types.Selection, u usage) {
	if v.done[e] {
		return
	}
	v.done[e] = true
	x := types.ExprString(ast.Unparen(e.X))
	d := analysis.Diagnostic{Pos: e.Pos(), End: e.End(), Category: categoryMethod}
	head := fmt.Sprintf("function given to %s is the method value %s.%s, which captures %s (%s): ",
		u.op, x, e.Sel.Name, x, v.typeName(v.info.TypeOf(e.X)))
	if _, generic := v.insideGeneric(e.Pos()); generic && mentionsTypeParam(sel.Recv()) {
		d.Message = head + "in a generic function, give a struct with a Call method through rdd.Call"
		v.add(u.call, d)
		return
	}
	if o := v.obstacleIn(v.info.TypeOf(e.X), x); o != nil {
		d.Category = categoryTravel
		d.Message = head + o.String()
		v.add(u.call, d)
		return
	}
	sig := sel.Type().(*types.Signature)
	binder := v.findBind(sig)
	if binder == "" {
		d.Message = head + "no rdd.Bind takes a function of this shape; give a struct with a Call method through rdd.Call"
		v.add(u.call, d)
		return
	}
	r := v.rewriter(e.Pos())
	recv := v.info.TypeOf(e.X)
	ref := ""
	if pointerMethodOfValue(sel) {
		recv, ref = types.NewPointer(recv), "&"
	}
	typ := r.typeExpr(recv)
	switch types.Unalias(recv).(type) {
	case *types.Named, *types.Basic:
	default:
		typ = "(" + typ + ")"
	}
	expr := typ + "." + e.Sel.Name
	rdd := r.rddName()
	d.Message = head + fmt.Sprintf("bind the method, rdd.%s(%s%s, %s)", binder, ref, x, expr)
	if u.bound {
		d.Message = head + "add it to the environment"
	} else if !ast.IsGenerated(r.file) {
		r.insert(e.Pos(), rdd+binder+"("+ref)
		r.replace(e.X.End(), e.End(), ", "+expr+")")
		if fix := r.fix("bind " + x + " with rdd." + binder); fix != nil {
			d.SuggestedFixes = []analysis.SuggestedFix{*fix}
		}
	}
	v.add(u.call, d)
}
