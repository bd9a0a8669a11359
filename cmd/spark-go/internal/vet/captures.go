package vet

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"strings"

	"golang.org/x/tools/go/analysis"
)

// A capture is a variable of an enclosing function that a literal uses.
type capture struct {
	v        *types.Var
	uses     []*ast.Ident
	assigned bool               // the literal assigns to it or through it
	address  bool               // the literal takes its address, if only for a method call
	fields   []fieldUse         // its fields, if the literal uses nothing else of it
	partial  bool               // fields is what has to be bound, not the variable
	problem  *obstacle          // why what has to be bound cannot travel, or nil
	parents  map[*ast.Ident]int // index into fields for each use
}

// A fieldUse is a field of a captured struct that the literal reads.
type fieldUse struct {
	sel   []*ast.SelectorExpr
	field *types.Var
	typ   types.Type
}

// literal looks at a function literal that runs on executors.
func (v *vetter) literal(lit *ast.FuncLit, u usage) {
	if v.done[lit] {
		return
	}
	v.done[lit] = true
	v.tasks[lit] = true
	v.executorBody(lit.Body, u)

	caps := v.captures(lit)
	generic, isGeneric := v.insideGeneric(lit.Pos())
	if len(caps) == 0 && !isGeneric {
		return
	}
	d := analysis.Diagnostic{Pos: lit.Pos(), End: lit.End(), Category: categoryCapture}
	binder := v.findBind(v.info.TypeOf(lit).(*types.Signature))
	var b strings.Builder
	b.WriteString("function given to " + u.op + " ")
	if len(caps) > 0 {
		b.WriteString("captures " + v.describe(caps))
	}
	if isGeneric {
		d.Category = categoryGeneric
		if len(caps) > 0 {
			b.WriteString(", and ")
		}
		fmt.Fprintf(&b, "is a literal in the generic function %s, which captures a hidden type dictionary: "+
			"give a struct with a Call method through rdd.Call", generic)
		for _, c := range caps {
			if c.problem != nil {
				d.Category = categoryTravel
				b.WriteString("; " + c.problem.String())
			}
		}
		d.Message = b.String()
		v.add(u.call, d)
		return
	}

	var advice []string
	blocked := false
	for _, c := range caps {
		switch {
		case c.problem != nil:
			d.Category, blocked = categoryTravel, true
			advice = append(advice, c.problem.String())
		case c.assigned:
			blocked = true
			advice = append(advice, fmt.Sprintf("what it assigns to %s on an executor does not come back; "+
				"use an accumulator or an action such as rdd.Reduce", c.v.Name()))
		}
	}
	if !blocked {
		advice = append(advice, v.remedy(lit, caps, binder, u))
		if fix := v.bindFix(lit, caps, binder, u); fix != nil {
			d.SuggestedFixes = []analysis.SuggestedFix{*fix}
		}
	}
	d.Message = b.String() + ": " + strings.Join(advice, "; ")
	v.add(u.call, d)
}

// describe lists captured variables with their types.
func (v *vetter) describe(caps []*capture) string {
	var parts []string
	for _, c := range caps {
		s := fmt.Sprintf("%s (%s)", c.v.Name(), v.typeName(c.v.Type()))
		if c.partial {
			var fields []string
			for _, f := range c.fields {
				fields = append(fields, fmt.Sprintf("%s.%s (%s)", c.v.Name(), f.field.Name(), v.typeName(f.typ)))
			}
			s += " for " + enumerate(fields)
		}
		parts = append(parts, s)
	}
	return enumerate(parts)
}

// remedy says what to do about captures that can travel.
func (v *vetter) remedy(lit *ast.FuncLit, caps []*capture, binder string, u usage) string {
	if u.bound {
		return "add " + pronoun(caps) + " to the environment"
	}
	if binder == "" {
		return "no rdd.Bind takes a function of this shape; give a struct with a Call method through rdd.Call"
	}
	for _, c := range caps {
		if v.assignsItself(lit, c.v) {
			return "it calls itself through a variable; declare it as a function"
		}
	}
	for _, c := range caps {
		if c.address {
			return fmt.Sprintf("bind %s with rdd.%s; the address of %s is taken, and what is done through it stays on the executor",
				pronoun(caps), binder, c.v.Name())
		}
	}
	if len(caps) == 1 && caps[0].partial {
		if len(caps[0].fields) == 1 {
			return "bind the field with rdd." + binder
		}
		return "bind the fields with rdd." + binder
	}
	return "bind " + pronoun(caps) + " with rdd." + binder
}

func pronoun(caps []*capture) string {
	if len(caps) == 1 {
		return "it"
	}
	return "them"
}

func enumerate(parts []string) string {
	if len(parts) < 2 {
		return strings.Join(parts, "")
	}
	return strings.Join(parts[:len(parts)-1], ", ") + " and " + parts[len(parts)-1]
}

// captures returns the variables that a literal captures, in the order of their first use.
func (v *vetter) captures(lit *ast.FuncLit) []*capture {
	var caps []*capture
	byVar := make(map[*types.Var]*capture)
	ast.Inspect(lit.Body, func(n ast.Node) bool {
		id, ok := n.(*ast.Ident)
		if !ok {
			return true
		}
		obj, ok := v.info.Uses[id].(*types.Var)
		if !ok || obj.IsField() || isPackageLevel(obj) || lit.Pos() <= obj.Pos() && obj.Pos() < lit.End() {
			return true
		}
		c := byVar[obj]
		if c == nil {
			c = &capture{v: obj, parents: make(map[*ast.Ident]int)}
			byVar[obj] = c
			caps = append(caps, c)
		}
		c.uses = append(c.uses, id)
		return true
	})
	if len(caps) == 0 {
		return nil
	}
	at := func(e ast.Expr) *capture {
		if id := v.rootOf(e); id != nil {
			if obj, ok := v.info.Uses[id].(*types.Var); ok {
				return byVar[obj]
			}
		}
		return nil
	}
	v.changes(lit.Body, func(e ast.Expr, _ ast.Node) {
		if c := at(e); c != nil {
			c.assigned = true
		}
	})
	ast.Inspect(lit.Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.UnaryExpr:
			if n.Op == token.AND {
				v.noteAddress(at, n.X)
			}
		case *ast.SliceExpr:
			if _, ok := v.info.TypeOf(n.X).Underlying().(*types.Array); ok {
				v.noteAddress(at, n.X)
			}
		case *ast.SelectorExpr:
			if sel := v.info.Selections[n]; sel != nil && sel.Kind() == types.MethodVal && pointerMethodOfValue(sel) &&
				!isRDDHandle(v.info.TypeOf(n.X)) {
				v.noteAddress(at, n.X)
			}
		}
		return true
	})
	v.fieldUses(lit, byVar)
	for _, c := range caps {
		v.chooseWhatToBind(c)
	}
	return caps
}

// noteAddress marks the captured variable whose storage &e points into.
func (v *vetter) noteAddress(at func(ast.Expr) *capture, e ast.Expr) {
	for {
		switch x := ast.Unparen(e).(type) {
		case *ast.Ident:
			if c := at(x); c != nil {
				c.address = true
			}
			return
		case *ast.SelectorExpr:
			if _, ok := v.info.TypeOf(x.X).Underlying().(*types.Pointer); ok {
				return // points into what the variable points to
			}
			e = x.X
		case *ast.IndexExpr:
			if _, ok := v.info.TypeOf(x.X).Underlying().(*types.Array); !ok {
				return
			}
			e = x.X
		default:
			return
		}
	}
}

// pointerMethodOfValue reports whether a method with a pointer receiver is
// called on a value, whose address is thereby taken.
func pointerMethodOfValue(sel *types.Selection) bool {
	recv := sel.Obj().(*types.Func).Signature().Recv()
	if recv == nil {
		return false
	}
	_, wants := recv.Type().(*types.Pointer)
	_, has := sel.Recv().Underlying().(*types.Pointer)
	return wants && !has && !sel.Indirect()
}

// isRDDHandle reports whether t is a handle of package rdd, such as an
// accumulator, which keeps its identity when it is copied.
func isRDDHandle(t types.Type) bool {
	named, ok := types.Unalias(t).(*types.Named)
	return ok && named.Obj().Pkg() != nil && named.Obj().Pkg().Path() == rddPath
}

// fieldUses notes, for captured structs, which fields are selected.
func (v *vetter) fieldUses(lit *ast.FuncLit, byVar map[*types.Var]*capture) {
	ast.Inspect(lit.Body, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		id, ok := ast.Unparen(sel.X).(*ast.Ident)
		if !ok {
			return true
		}
		obj, _ := v.info.Uses[id].(*types.Var)
		c, s := byVar[obj], v.info.Selections[sel]
		if c == nil || s == nil || s.Kind() != types.FieldVal {
			return true
		}
		field := s.Obj().(*types.Var)
		for i := range c.fields {
			if c.fields[i].field == field {
				c.fields[i].sel = append(c.fields[i].sel, sel)
				c.parents[id] = i
				return true
			}
		}
		c.parents[id] = len(c.fields)
		c.fields = append(c.fields, fieldUse{sel: []*ast.SelectorExpr{sel}, field: field, typ: s.Type()})
		return true
	})
}

// chooseWhatToBind decides between a captured variable and those of its fields
// that are used. A struct behind a pointer, typically the receiver of the
// method, is not dragged along for the sake of one field; nor is one that
// cannot travel as a whole.
func (v *vetter) chooseWhatToBind(c *capture) {
	c.problem = v.obstacleIn(c.v.Type(), c.v.Name())
	if len(c.parents) != len(c.uses) || c.assigned || c.address {
		return
	}
	_, pointer := c.v.Type().Underlying().(*types.Pointer)
	if !pointer && c.problem == nil || isDriverObject(c.v.Type()) || containsDataset(c.v.Type()) {
		return
	}
	c.partial = true
	c.problem = nil
	for _, f := range c.fields {
		if p := v.obstacleIn(f.typ, c.v.Name()+"."+f.field.Name()); p != nil && c.problem == nil {
			c.problem = p
		}
	}
}

// rootOf returns the variable that e is stored in or reached through.
func (v *vetter) rootOf(e ast.Expr) *ast.Ident {
	for {
		switch x := ast.Unparen(e).(type) {
		case *ast.Ident:
			return x
		case *ast.SelectorExpr:
			if v.info.Selections[x] == nil {
				return x.Sel // pkg.Var
			}
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.SliceExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		default:
			return nil
		}
	}
}

// changes calls f for every expression in body that is assigned to, with the
// statement or call that does it.
func (v *vetter) changes(body ast.Node, f func(ast.Expr, ast.Node)) {
	ast.Inspect(body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			for _, lhs := range n.Lhs {
				if id, ok := lhs.(*ast.Ident); ok && (id.Name == "_" || v.info.Defs[id] != nil) {
					continue
				}
				f(lhs, n)
			}
		case *ast.IncDecStmt:
			f(n.X, n)
		case *ast.RangeStmt:
			if n.Tok == token.ASSIGN {
				for _, e := range []ast.Expr{n.Key, n.Value} {
					if e != nil {
						f(e, n)
					}
				}
			}
		case *ast.CallExpr:
			if id, ok := ast.Unparen(n.Fun).(*ast.Ident); ok && len(n.Args) > 0 {
				if b, ok := v.info.Uses[id].(*types.Builtin); ok {
					switch b.Name() {
					case "delete", "clear", "copy":
						f(n.Args[0], n)
					}
				}
			}
			v.atomicChange(n, f)
		}
		return true
	})
}

// atomicChange calls f for what a call of package sync/atomic changes.
func (v *vetter) atomicChange(call *ast.CallExpr, f func(ast.Expr, ast.Node)) {
	sel, ok := ast.Unparen(call.Fun).(*ast.SelectorExpr)
	if !ok {
		return
	}
	fn, ok := v.info.Uses[sel.Sel].(*types.Func)
	if !ok || fn.Pkg() == nil || fn.Pkg().Path() != "sync/atomic" || strings.HasPrefix(fn.Name(), "Load") {
		return
	}
	if fn.Signature().Recv() != nil {
		f(sel.X, call)
	} else if len(call.Args) > 0 {
		if u, ok := ast.Unparen(call.Args[0]).(*ast.UnaryExpr); ok && u.Op == token.AND {
			f(u.X, call)
		}
	}
}

// executorBody looks for what a function cannot do on an executor whether it
// captures anything or not.
func (v *vetter) executorBody(body *ast.BlockStmt, u usage) {
	v.changes(body, func(e ast.Expr, by ast.Node) {
		id := v.rootOf(e)
		if id == nil {
			return
		}
		obj, ok := v.info.Uses[id].(*types.Var)
		if !ok || obj.IsField() || !isPackageLevel(obj) || v.done[by] || v.insideOnce(body, by.Pos()) {
			return
		}
		v.done[by] = true
		v.add(u.call, analysis.Diagnostic{
			Pos: by.Pos(), End: e.End(), Category: categoryLost,
			Message: fmt.Sprintf("function given to %s changes package variable %s: each executor has its own, so the change is lost; "+
				"use an accumulator or an action such as rdd.Reduce", u.op, obj.Name()),
		})
	})
	ast.Inspect(body, func(n ast.Node) bool {
		id, ok := n.(*ast.Ident)
		if !ok || v.done[id] {
			return true
		}
		var what string
		switch obj := v.info.Uses[id].(type) {
		case *types.Var:
			if obj.IsField() || !isPackageLevel(obj) {
				return true
			}
			switch {
			case containsDataset(obj.Type()):
				what = fmt.Sprintf("uses dataset %s (%s): datasets exist on the driver only; join the two, or collect one and broadcast it",
					obj.Name(), v.typeName(obj.Type()))
			case isDriverObject(obj.Type()):
				what = fmt.Sprintf("uses %s (%s), which exists on the driver only", obj.Name(), v.typeName(obj.Type()))
			}
		case *types.Func:
			if obj.Pkg() != nil && obj.Pkg().Path() == driverPath && obj.Name() == "New" {
				what = "starts a driver: only the program's main may"
			}
		}
		if what != "" {
			v.done[id] = true
			v.add(u.call, analysis.Diagnostic{
				Pos: id.Pos(), End: id.End(), Category: categoryNested,
				Message: "function given to " + u.op + " " + what,
			})
		}
		return true
	})
}

// insideOnce reports whether pos is inside a function given to sync.Once.Do:
// filling a variable once per executor process is how a task prepares what
// cannot travel.
func (v *vetter) insideOnce(body *ast.BlockStmt, pos token.Pos) bool {
	found := false
	ast.Inspect(body, func(n ast.Node) bool {
		if n == nil || found || pos < n.Pos() || n.End() <= pos {
			return false
		}
		if call, ok := n.(*ast.CallExpr); ok {
			if sel, ok := ast.Unparen(call.Fun).(*ast.SelectorExpr); ok {
				if fn, ok := v.info.Uses[sel.Sel].(*types.Func); ok && fn.FullName() == "(*sync.Once).Do" {
					found = true
				}
			}
		}
		return !found
	})
	return found
}
