package vet

import (
	"go/ast"
	"go/token"
	"go/types"
)

// A packageIndex answers what a name of the package under analysis stands for.
type packageIndex struct {
	decls     map[*types.Func]*ast.FuncDecl
	params    map[*types.Var]param       // parameters of declared functions
	values    map[*types.Var][]ast.Expr  // what is assigned to a local variable of function type
	writes    map[*types.Var][]token.Pos // where a variable, or what is reached through it, is assigned to
	addressed map[*types.Var]bool        // variables that may change behind our back
}

// A param is the index-th parameter of a declared function.
type param struct {
	fn    *types.Func
	index int
}

// packageIndex builds the index when it is first needed: most packages of a
// program call no dataset operation.
func (v *vetter) packageIndex() *packageIndex {
	if v.index != nil {
		return v.index
	}
	idx := &packageIndex{
		decls:     make(map[*types.Func]*ast.FuncDecl),
		params:    make(map[*types.Var]param),
		values:    make(map[*types.Var][]ast.Expr),
		writes:    make(map[*types.Var][]token.Pos),
		addressed: make(map[*types.Var]bool),
	}
	v.index = idx
	for _, f := range v.pass.Files {
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if fn, ok := v.info.Defs[n.Name].(*types.Func); ok {
					idx.decls[fn] = n
					params := fn.Signature().Params()
					for i := range params.Len() {
						idx.params[params.At(i)] = param{fn, i}
					}
				}
			case *ast.AssignStmt:
				for i, lhs := range n.Lhs {
					var rhs ast.Expr
					if len(n.Lhs) == len(n.Rhs) && (n.Tok == token.ASSIGN || n.Tok == token.DEFINE) {
						rhs = n.Rhs[i]
					}
					v.recordValue(idx, lhs, rhs)
				}
			case *ast.ValueSpec:
				for i, name := range n.Names {
					if len(n.Names) == len(n.Values) {
						v.recordValue(idx, name, n.Values[i])
					}
				}
			case *ast.IncDecStmt:
				v.recordValue(idx, n.X, nil)
			case *ast.RangeStmt:
				if n.Tok == token.ASSIGN {
					v.recordValue(idx, n.Key, nil)
					v.recordValue(idx, n.Value, nil)
				}
			case *ast.UnaryExpr:
				if n.Op == token.AND {
					if id, ok := ast.Unparen(n.X).(*ast.Ident); ok {
						if obj, ok := v.info.Uses[id].(*types.Var); ok {
							idx.addressed[obj] = true
						}
					}
				}
			}
			return true
		})
	}
	return idx
}

// recordValue notes that lhs, if it is a variable, is assigned rhs; nil means a
// value that is not followed.
func (v *vetter) recordValue(idx *packageIndex, lhs, rhs ast.Expr) {
	if lhs == nil {
		return
	}
	root := v.rootOf(lhs)
	if root == nil {
		return
	}
	obj, ok := v.info.ObjectOf(root).(*types.Var)
	if !ok {
		return
	}
	if v.info.Uses[root] != nil {
		idx.writes[obj] = append(idx.writes[obj], root.Pos())
	}
	if rhs != nil && ast.Unparen(lhs) == root {
		if _, ok := obj.Type().Underlying().(*types.Signature); ok {
			idx.values[obj] = append(idx.values[obj], rhs)
		}
	}
}

// enclosingDecl returns the function declaration around pos, or nil.
func (v *vetter) enclosingDecl(pos token.Pos) *ast.FuncDecl {
	f := v.fileOf(pos)
	if f == nil {
		return nil
	}
	for _, d := range f.Decls {
		if fd, ok := d.(*ast.FuncDecl); ok && fd.Pos() <= pos && pos < fd.End() {
			return fd
		}
	}
	return nil
}

// insideGeneric reports whether pos is in a function with type parameters in
// scope, and names it.
func (v *vetter) insideGeneric(pos token.Pos) (string, bool) {
	fd := v.enclosingDecl(pos)
	if fd == nil {
		return "", false
	}
	fn, ok := v.info.Defs[fd.Name].(*types.Func)
	if !ok {
		return "", false
	}
	sig := fn.Signature()
	return fn.Name(), sig.TypeParams().Len() > 0 || sig.RecvTypeParams().Len() > 0
}

// mentionsTypeParam reports whether a type parameter occurs in t.
func mentionsTypeParam(t types.Type) bool {
	seen := make(map[types.Type]bool)
	var mentions func(t types.Type) bool
	tuple := func(tu *types.Tuple) bool { return tupleHas(tu, mentions) }
	mentions = func(t types.Type) bool {
		t = types.Unalias(t)
		if seen[t] {
			return false
		}
		seen[t] = true
		switch t := t.(type) {
		case *types.TypeParam:
			return true
		case *types.Named:
			for arg := range t.TypeArgs().Types() {
				if mentions(arg) {
					return true
				}
			}
		case *types.Pointer:
			return mentions(t.Elem())
		case *types.Slice:
			return mentions(t.Elem())
		case *types.Array:
			return mentions(t.Elem())
		case *types.Chan:
			return mentions(t.Elem())
		case *types.Map:
			return mentions(t.Key()) || mentions(t.Elem())
		case *types.Signature:
			return tuple(t.Params()) || tuple(t.Results())
		case *types.Struct:
			for f := range t.Fields() {
				if mentions(f.Type()) {
					return true
				}
			}
		}
		return false
	}
	return mentions(t)
}
