package vet

import (
	"go/ast"
	"go/token"
	"go/types"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/tools/go/analysis"
)

// A rewriter makes the edits of one suggested fix. Whatever cannot be written in
// the file, a type out of reach or a name that is taken, makes it give up.
type rewriter struct {
	v       *vetter
	file    *ast.File
	pos     token.Pos    // where names are looked up
	scope   *types.Scope // the innermost at pos
	imports []string     // paths to import
	failed  bool
	edits   []analysis.TextEdit
}

// A binding is one value of an environment.
type binding struct {
	name string // of the parameter or field
	expr string // what is bound
	typ  types.Type
	uses []ast.Expr // what stands for it in the literal
}

func (v *vetter) rewriter(pos token.Pos) *rewriter {
	return &rewriter{v: v, file: v.fileOf(pos), pos: pos, scope: v.pass.Pkg.Scope().Innermost(pos)}
}

// findBind returns the name of the function of package rdd that binds an
// environment to a function of the given shape, or "". The functions are found
// by their signatures, so that arities come and go without a change here.
func (v *vetter) findBind(f *types.Signature) string {
	pkg := v.rddPackage()
	if pkg == nil || f.Variadic() {
		return ""
	}
	for _, name := range pkg.Scope().Names() { // sorted
		fn, ok := pkg.Scope().Lookup(name).(*types.Func)
		if !ok || !isBind(fn) {
			continue
		}
		inner := fn.Signature().Params().At(1).Type().Underlying().(*types.Signature)
		if fits(inner.Params(), 1, f.Params()) && fits(inner.Results(), 0, f.Results()) {
			return name
		}
	}
	return ""
}

// fits reports whether a generic parameter or result list, from its skip-th
// element on, can be instantiated to the given one: as many elements, and those
// that are not type parameters, such as error, identical.
func fits(generic *types.Tuple, skip int, actual *types.Tuple) bool {
	if generic.Len() != actual.Len()+skip {
		return false
	}
	for i := range actual.Len() {
		t := generic.At(i + skip).Type()
		if _, free := t.(*types.TypeParam); !free && !types.Identical(t, actual.At(i).Type()) {
			return false
		}
	}
	return true
}

// rddPackage returns package rdd if the package under analysis can see it.
func (v *vetter) rddPackage() *types.Package {
	seen := make(map[*types.Package]bool)
	var find func(p *types.Package) *types.Package
	find = func(p *types.Package) *types.Package {
		if p.Path() == rddPath {
			return p
		}
		if seen[p] {
			return nil
		}
		seen[p] = true
		for _, imp := range p.Imports() {
			if found := find(imp); found != nil {
				return found
			}
		}
		return nil
	}
	return find(v.pass.Pkg)
}

// assignsItself reports whether a literal is what its captured variable is assigned.
func (v *vetter) assignsItself(lit *ast.FuncLit, obj *types.Var) bool {
	for _, value := range v.packageIndex().values[obj] {
		if ast.Unparen(value) == lit {
			return true
		}
	}
	return false
}

// bindFix rewrites a capturing literal into Bind form, or returns nil where that
// would change what the program does or could not be compiled.
func (v *vetter) bindFix(lit *ast.FuncLit, caps []*capture, binder string, u usage) *analysis.SuggestedFix {
	if binder == "" || u.bound || ast.IsGenerated(v.fileOf(lit.Pos())) {
		return nil
	}
	for _, c := range caps {
		if c.assigned || c.address || c.problem != nil || v.assignsItself(lit, c.v) {
			return nil
		}
		// A literal kept in a variable is called after this point; binding here
		// would freeze variables that change in between.
		for _, w := range v.packageIndex().writes[c.v] {
			if u.indirect && w > lit.Pos() {
				return nil
			}
		}
		if u.indirect && v.packageIndex().addressed[c.v] {
			return nil
		}
	}
	for _, f := range lit.Type.Params.List {
		if _, ok := f.Type.(*ast.Ellipsis); ok {
			return nil
		}
	}
	r := v.rewriter(lit.Pos())
	rdd := r.rddName()
	bindings := bindingsOf(lit, caps)
	var envExpr, envParam string
	if len(bindings) == 1 {
		b := bindings[0]
		envExpr, envParam = b.expr, b.name+" "+r.typeExpr(b.typ)
		if first := lit.Type.Params.List; len(first) > 0 && len(first[0].Names) > 0 && types.ExprString(first[0].Type) == r.typeExpr(b.typ) {
			envParam = b.name // p, a, b float64
		}
		for _, use := range b.uses {
			if !isIdent(use, b.name) {
				r.replace(use.Pos(), use.End(), b.name)
			}
		}
	} else {
		name := freshName("env", usedNames(lit))
		typ := r.environmentType(bindings, u.op)
		var values []string
		for _, b := range bindings {
			values = append(values, b.expr)
			for _, use := range b.uses {
				r.replace(use.Pos(), use.End(), name+"."+b.name)
			}
		}
		envExpr = typ + "{" + strings.Join(values, ", ") + "}"
		envParam = name + " " + typ
	}
	r.insert(lit.Pos(), rdd+binder+"("+envExpr+", ")
	r.insertParam(lit.Type.Params, envParam)
	r.insert(lit.End(), ")")
	return r.fix("bind " + namesOf(bindings) + " with rdd." + binder)
}

func isIdent(e ast.Expr, name string) bool {
	id, ok := e.(*ast.Ident)
	return ok && id.Name == name
}

func namesOf(bindings []binding) string {
	var names []string
	for _, b := range bindings {
		names = append(names, b.expr)
	}
	return enumerate(names)
}

// bindingsOf lists what has to be bound for the captures of a literal.
func bindingsOf(lit *ast.FuncLit, caps []*capture) []binding {
	taken := usedNames(lit)
	var bs []binding
	for _, c := range caps {
		if !c.partial {
			b := binding{name: c.v.Name(), expr: c.v.Name(), typ: c.v.Type()}
			for _, id := range c.uses {
				b.uses = append(b.uses, id)
			}
			bs = append(bs, b)
			continue
		}
		for _, f := range c.fields {
			name := freshName(lowerFirst(f.field.Name()), taken)
			taken[name] = true
			b := binding{name: name, expr: c.v.Name() + "." + f.field.Name(), typ: f.typ}
			for _, sel := range f.sel {
				b.uses = append(b.uses, sel)
			}
			bs = append(bs, b)
		}
	}
	return bs
}

// usedNames returns the names that occur in a literal other than as fields and methods.
func usedNames(lit *ast.FuncLit) map[string]bool {
	names := make(map[string]bool)
	ast.Inspect(lit, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			ast.Inspect(n.X, func(n ast.Node) bool {
				if id, ok := n.(*ast.Ident); ok {
					names[id.Name] = true
				}
				return true
			})
			return false
		case *ast.Ident:
			names[n.Name] = true
		}
		return true
	})
	return names
}

// freshName returns name, or name with the first number that makes it free.
func freshName(name string, taken map[string]bool) string {
	fresh := name
	for i := 2; taken[fresh] || token.IsKeyword(fresh); i++ {
		fresh = name + strconv.Itoa(i)
	}
	return fresh
}

func lowerFirst(s string) string {
	if strings.ToUpper(s) == s { // an initialism: K, URL
		return strings.ToLower(s)
	}
	first, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToLower(first)) + s[n:]
}

// environmentType writes the type of an environment of several values: in place
// while that fits on a line, else as a type declared before the statement.
func (r *rewriter) environmentType(bindings []binding, op string) string {
	same := true
	for _, b := range bindings {
		same = same && types.Identical(b.typ, bindings[0].typ)
	}
	if same {
		var names []string
		for _, b := range bindings {
			names = append(names, b.name)
		}
		return "struct{ " + strings.Join(names, ", ") + " " + r.typeExpr(bindings[0].typ) + " }"
	}
	stmt := r.enclosingStatement()
	if stmt == token.NoPos {
		r.failed = true
		return ""
	}
	op, _, _ = strings.Cut(op, " ") // the operation, without how the function got there
	op = strings.TrimSuffix(op[strings.LastIndexByte(op, '.')+1:], ",")
	taken := make(map[string]bool)
	decl := r.v.enclosingDecl(r.pos)
	if decl == nil {
		r.failed = true
		return ""
	}
	ast.Inspect(decl, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok {
			taken[id.Name] = true
		}
		return true
	})
	for _, name := range r.v.envType[decl] {
		taken[name] = true
	}
	for _, name := range r.v.pass.Pkg.Scope().Names() {
		taken[name] = true
	}
	name := freshName(lowerFirst(op)+"Env", taken)
	r.v.envType[decl] = append(r.v.envType[decl], name)

	at := *r
	at.pos, at.scope = stmt, r.v.pass.Pkg.Scope().Innermost(stmt)
	var b strings.Builder
	b.WriteString("type " + name + " struct {\n")
	for _, bd := range bindings {
		b.WriteString(bd.name + " " + at.typeExpr(bd.typ) + "\n")
	}
	b.WriteString("}\n")
	r.failed, r.imports = at.failed, at.imports
	r.insert(stmt, b.String())
	return name
}

// enclosingStatement returns where a declaration can be put before the
// statement around the literal: before the comment that leads it, if any.
func (r *rewriter) enclosingStatement() token.Pos {
	cur, ok := r.v.root.FindByPos(r.pos, r.pos)
	if !ok {
		return token.NoPos
	}
	for c := range cur.Enclosing() {
		stmt, ok := c.Node().(ast.Stmt)
		if !ok {
			continue
		}
		var list []ast.Stmt
		switch parent := c.Parent().Node().(type) {
		case *ast.BlockStmt:
			list = parent.List
		case *ast.CaseClause:
			list = parent.Body
		case *ast.CommClause:
			list = parent.Body
		}
		if !slices.Contains(list, stmt) {
			continue
		}
		fset := r.v.pass.Fset
		pos, line := stmt.Pos(), fset.Position(stmt.Pos()).Line
		for _, group := range r.file.Comments {
			if fset.Position(group.End()).Line == line-1 && alone(group, list, fset) {
				pos = group.Pos()
			}
		}
		return pos
	}
	return token.NoPos
}

// alone reports whether no statement shares a comment's first line.
func alone(group *ast.CommentGroup, list []ast.Stmt, fset *token.FileSet) bool {
	line := fset.Position(group.Pos()).Line
	for _, s := range list {
		if fset.Position(s.Pos()).Line <= line && line <= fset.Position(s.End()).Line {
			return false
		}
	}
	return true
}

func (r *rewriter) insert(pos token.Pos, text string) { r.replace(pos, pos, text) }

func (r *rewriter) replace(pos, end token.Pos, text string) {
	r.edits = append(r.edits, analysis.TextEdit{Pos: pos, End: end, NewText: []byte(text)})
}

// insertParam puts a parameter before the others, which get names if they have none.
func (r *rewriter) insertParam(params *ast.FieldList, param string) {
	if len(params.List) > 0 {
		param += ", "
	}
	r.insert(params.Opening+1, param)
	for _, f := range params.List {
		if len(f.Names) == 0 {
			r.insert(f.Type.Pos(), "_ ")
		}
	}
}

func (r *rewriter) fix(message string) *analysis.SuggestedFix {
	if r.failed {
		return nil
	}
	for _, p := range r.imports {
		r.addImport(p)
	}
	slices.SortStableFunc(r.edits, func(a, b analysis.TextEdit) int { return int(a.Pos - b.Pos) })
	return &analysis.SuggestedFix{Message: message, TextEdits: r.edits}
}

// rddName returns the qualifier of package rdd in the file, with its dot.
func (r *rewriter) rddName() string {
	q := r.qualifier(r.v.rddPackage())
	if q != "" {
		q += "."
	}
	return q
}

// qualifier returns the name under which the file knows a package, "" for its
// own and dot imports; it imports the package if it has to.
func (r *rewriter) qualifier(pkg *types.Package) string {
	if pkg == r.v.pass.Pkg {
		return ""
	}
	for _, spec := range r.file.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue
		}
		obj := r.v.info.PkgNameOf(spec)
		if obj == nil || obj.Imported().Path() != pkg.Path() && p != pkg.Path() || obj.Name() == "_" {
			continue
		}
		if obj.Name() == "." {
			return ""
		}
		if _, seen := r.scope.LookupParent(obj.Name(), r.pos); seen != obj {
			r.failed = true // shadowed
		}
		return obj.Name()
	}
	if _, taken := r.scope.LookupParent(pkg.Name(), r.pos); taken != nil || path.Base(pkg.Path()) != pkg.Name() ||
		strings.Contains(pkg.Path(), "internal/") || r.v.pass.Pkg.Scope().Lookup(pkg.Name()) != nil {
		r.failed = true
		return pkg.Name()
	}
	if !slices.Contains(r.imports, pkg.Path()) {
		r.imports = append(r.imports, pkg.Path())
	}
	return pkg.Name()
}

// addImport imports a package: among the first group for the standard library,
// after the last import for others, where gofmt sorts it.
func (r *rewriter) addImport(importPath string) {
	if len(r.file.Imports) == 0 {
		r.insert(r.file.Name.End(), "\n\nimport "+strconv.Quote(importPath))
		return
	}
	for _, d := range r.file.Decls {
		decl, ok := d.(*ast.GenDecl)
		if !ok || decl.Tok != token.IMPORT {
			continue
		}
		first, _, _ := strings.Cut(importPath, "/")
		switch {
		case !decl.Lparen.IsValid():
			r.insert(decl.Pos(), "import "+strconv.Quote(importPath)+"\n")
		case !strings.Contains(first, "."):
			r.insert(decl.Specs[0].Pos(), strconv.Quote(importPath)+"\n")
		default:
			r.insert(decl.Rparen, strconv.Quote(importPath)+"\n")
		}
		return
	}
}

// typeExpr writes a type as it has to be spelled in the file.
func (r *rewriter) typeExpr(t types.Type) string {
	r.reach(t, make(map[types.Type]bool))
	return types.TypeString(t, r.qualifier)
}

// reach gives up on types with names that mean something else, or nothing, where
// the literal is.
func (r *rewriter) reach(t types.Type, seen map[types.Type]bool) {
	if seen[t] {
		return
	}
	seen[t] = true
	name := func(obj *types.TypeName, args *types.TypeList) {
		for arg := range args.Types() {
			r.reach(arg, seen)
		}
		if obj.Pkg() != nil && obj.Pkg() != r.v.pass.Pkg {
			if !obj.Exported() || obj.Parent() != nil && obj.Parent() != obj.Pkg().Scope() {
				r.failed = true
			}
			return
		}
		if _, found := r.scope.LookupParent(obj.Name(), r.pos); found != obj {
			r.failed = true
		}
	}
	switch t := t.(type) {
	case *types.Named:
		name(t.Obj(), t.TypeArgs())
	case *types.Alias:
		name(t.Obj(), t.TypeArgs())
	case *types.Basic:
		if obj, ok := types.Universe.Lookup(t.Name()).(*types.TypeName); ok {
			name(obj, nil)
		} else if t.Kind() == types.UnsafePointer || t.Info()&types.IsUntyped != 0 {
			r.failed = true
		}
	case *types.Pointer:
		r.reach(t.Elem(), seen)
	case *types.Slice:
		r.reach(t.Elem(), seen)
	case *types.Array:
		r.reach(t.Elem(), seen)
	case *types.Chan:
		r.reach(t.Elem(), seen)
	case *types.Map:
		r.reach(t.Key(), seen)
		r.reach(t.Elem(), seen)
	case *types.Signature:
		for _, tuple := range []*types.Tuple{t.Params(), t.Results()} {
			for p := range tuple.Variables() {
				r.reach(p.Type(), seen)
			}
		}
	case *types.Struct:
		for f := range t.Fields() {
			if !f.Exported() && f.Pkg() != r.v.pass.Pkg {
				r.failed = true
			}
			r.reach(f.Type(), seen)
		}
	case *types.Interface:
		for m := range t.ExplicitMethods() {
			r.reach(m.Type(), seen)
		}
		for e := range t.EmbeddedTypes() {
			r.reach(e, seen)
		}
	case *types.TypeParam:
		r.failed = true
	}
}
