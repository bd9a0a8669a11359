package filesys

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Expand lists the files that URIs stand for. Each argument may be a comma
// list, and each element of it a file, a directory (every visible file below it), or a
// glob: * and ? within a path element, [a-z] and [^a-z] classes, {a,b}
// alternatives, a backslash before a character that is meant literally. What
// exists under exactly the given name is never taken for a glob.
//
// Files and directories whose names start with _ or . are hidden: listings and
// globs skip them unless the pattern's element starts so too or the name is
// given in full. A directory key=value is never hidden.
//
// The files come in the order of the arguments, and within each sorted by path.
// An element that names nothing, or a glob that matches nothing, is an error.
// A directory without files yields none.
func Expand(ctx context.Context, uris ...string) ([]Info, error) {
	var files []Info
	for _, list := range uris {
		for _, uri := range splitList(list) {
			found, err := expandOne(ctx, uri)
			if err != nil {
				return nil, fmt.Errorf("list input %s: %w", uri, err)
			}
			files = append(files, found...)
		}
	}
	if len(uris) == 0 {
		return nil, errors.New("list input: no file is named: give a path, a directory or a glob")
	}
	return files, nil
}

func expandOne(ctx context.Context, uri string) ([]Info, error) {
	loc, err := parse(uri)
	if err != nil {
		return nil, err
	}
	fsys, err := loc.open(ctx)
	if err != nil {
		return nil, err
	}
	var roots []Info
	switch info, err := fsys.Stat(ctx, loc.path); {
	case err == nil:
		roots = []Info{info}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	case !hasMeta(loc.path):
		return nil, fmt.Errorf("%w: check the path, or whether the file is on this machine", fs.ErrNotExist)
	default:
		seen := map[string]bool{}
		for _, pattern := range braces(loc.path) {
			found, err := glob(ctx, fsys, pattern)
			if err != nil {
				return nil, err
			}
			for _, f := range found {
				if !seen[f.Path] {
					seen[f.Path] = true
					roots = append(roots, f)
				}
			}
		}
		if len(roots) == 0 {
			return nil, fmt.Errorf("%w: the glob matches no file", fs.ErrNotExist)
		}
	}
	var files []Info
	for _, root := range roots {
		if files, err = walk(ctx, fsys, root, files); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(files, func(a, b Info) int { return strings.Compare(a.Path, b.Path) })
	// A glob may match a directory and, through another alternative, a file in it.
	files = slices.CompactFunc(files, func(a, b Info) bool { return a.Path == b.Path })
	for i := range files {
		files[i].URI = loc.uri(files[i].Path)
	}
	return files, nil
}

// walk appends the visible files below a directory, or the file itself. A directory in the middle of a commit is refused.
func walk(ctx context.Context, fsys FS, root Info, files []Info) ([]Info, error) {
	if !root.IsDir {
		return append(files, root), nil
	}
	found, outputs, err := walkOnce(ctx, fsys, root.Path)
	for try := 0; err == nil && len(outputs) > 0; try++ {
		// Somebody writes here, or has died doing so. What was listed is good if no commit is under way, and
		// none was while it was listed.
		for _, dir := range outputs {
			if err := committed(ctx, fsys, dir); err != nil {
				return nil, err
			}
		}
		again, _, err := walkOnce(ctx, fsys, root.Path)
		if err != nil {
			return nil, err
		}
		if slices.Equal(found, again) {
			break
		}
		if try == 10 {
			return nil, fmt.Errorf("list %s: its files change all the time: wait until the jobs that write to it have ended", root.Path)
		}
		found = again
	}
	return append(files, found...), err
}

// walkOnce lists the visible files below a directory, and the directories at or below it that jobs write to.
func walkOnce(ctx context.Context, fsys FS, dir string) (files []Info, outputs []string, err error) {
	if w, ok := fsys.(Walker); ok {
		return walkFlat(ctx, w, dir)
	}
	children, err := fsys.List(ctx, dir)
	if err != nil {
		return nil, nil, err
	}
	for _, c := range children {
		switch {
		case c.IsDir && c.Name() == temporaryDir:
			outputs = append(outputs, dir)
		case hidden(c):
		case c.IsDir:
			f, o, err := walkOnce(ctx, fsys, c.Path)
			if err != nil {
				return nil, nil, err
			}
			files, outputs = append(files, f...), append(outputs, o...)
		default:
			files = append(files, c)
		}
	}
	return files, outputs, nil
}

// walkFlat is walkOnce with one listing of everything.
func walkFlat(ctx context.Context, w Walker, dir string) (files []Info, outputs []string, err error) {
	prefix := strings.TrimSuffix(dir, "/") + "/"
	for f, err := range w.Walk(ctx, dir) {
		if err != nil {
			return nil, nil, err
		}
		rel := strings.TrimPrefix(f.Path, prefix)
		if !hiddenPath(rel) {
			files = append(files, f)
			continue
		}
		if before, _, found := strings.Cut("/"+rel, "/"+temporaryDir+"/"); found && (before == "" || !hiddenPath(before[1:]+"/x")) {
			if out := path.Join(dir, before); !slices.Contains(outputs, out) {
				outputs = append(outputs, out)
			}
		}
	}
	return files, outputs, nil
}

// committed is an error if the files of a directory are a part of an output.
func committed(ctx context.Context, fsys FS, dir string) error {
	d := outputDir{fsys, dir, dir}
	children, err := fsys.List(ctx, d.temporary())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, c := range children {
		if !c.IsDir || !isID(c.Name()) {
			continue
		}
		_, err := fsys.Stat(ctx, d.temporary(c.Name(), journalFile))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if m, err := d.manifest(ctx); err == nil && m.Job == c.Name() {
			continue // only its leftovers are there
		}
		return fmt.Errorf("read %s: %w: it is being written, or its job (%s) died: wait for it, run it again, or run spark-go clean on the directory", dir, ErrUnfinished, c.Name())
	}
	return nil
}

func hidden(i Info) bool {
	name := i.Name()
	if i.IsDir && strings.Contains(name, "=") {
		return false // a partition directory such as _year=2026
	}
	return strings.HasPrefix(name, "_") || strings.HasPrefix(name, ".")
}

func hasMeta(p string) bool { return strings.ContainsAny(p, `*?[{\`) }

// glob lists what matches a pattern without alternatives. Only the directories that the
// pattern's elements lead through are listed.
func glob(ctx context.Context, fsys FS, pattern string) ([]Info, error) {
	if _, err := path.Match(pattern, ""); err != nil {
		return nil, fmt.Errorf("the glob %s is malformed: close its brackets, or put a backslash before a literal one: %w", pattern, err)
	}
	current := []Info{{Path: "/", IsDir: true}}
	for elem := range strings.SplitSeq(strings.Trim(pattern, "/"), "/") {
		var next []Info
		for _, dir := range current {
			if !dir.IsDir {
				continue
			}
			if !hasMeta(elem) {
				info, err := fsys.Stat(ctx, path.Join(dir.Path, elem))
				if errors.Is(err, fs.ErrNotExist) {
					continue
				}
				if err != nil {
					return nil, err
				}
				next = append(next, info)
				continue
			}
			children, err := fsys.List(ctx, dir.Path)
			if errors.Is(err, fs.ErrNotExist) {
				continue // removed between two listings
			}
			if err != nil {
				return nil, err
			}
			if slices.ContainsFunc(children, func(c Info) bool { return c.IsDir && c.Name() == temporaryDir }) {
				if err := committed(ctx, fsys, dir.Path); err != nil {
					return nil, err
				}
			}
			for _, c := range children {
				ok, err := path.Match(elem, c.Name())
				if err != nil {
					return nil, err
				}
				if ok && (!hidden(c) || elem[0] == c.Name()[0]) {
					next = append(next, c)
				}
			}
		}
		current = next
	}
	return current, nil
}

// splitList cuts a comma list. Commas inside braces or brackets belong to the glob, and a
// comma after a backslash to the name.
func splitList(list string) []string {
	var parts []string
	var depth, start int
	var part strings.Builder
	for i := 0; i < len(list); i++ {
		switch c := list[i]; {
		case c == '\\' && i+1 < len(list):
			i++
			if list[i] == ',' && depth == 0 {
				part.WriteString(list[start : i-1])
				start = i
			}
		case c == '{' || c == '[':
			depth++
		case (c == '}' || c == ']') && depth > 0:
			depth--
		case c == ',' && depth == 0:
			part.WriteString(list[start:i])
			parts = append(parts, part.String())
			part.Reset()
			start = i + 1
		}
	}
	part.WriteString(list[start:])
	parts = append(parts, part.String())
	if len(parts) > 1 { // "a,,b" and a trailing comma are harmless
		parts = slices.DeleteFunc(parts, func(p string) bool { return strings.TrimSpace(p) == "" })
		for i := range parts {
			parts[i] = strings.TrimSpace(parts[i])
		}
		if len(parts) == 0 {
			return []string{""}
		}
	}
	return parts
}

// maxAlternatives bounds what {..}{..}{..} multiplies to.
const maxAlternatives = 10_000

// braces replaces a pattern by one pattern for each choice of its {a,b}
// alternatives, which may be nested. Unbalanced braces are literal.
func braces(pattern string) []string {
	done, todo := []string(nil), []string{pattern}
	for len(todo) > 0 && len(done)+len(todo) <= maxAlternatives {
		p := todo[0]
		todo = todo[1:]
		open, shut, commas := firstBraces(p)
		if shut < 0 {
			done = append(done, p)
			continue
		}
		var choices []string
		from := open + 1
		for _, to := range append(commas, shut) {
			choices = append(choices, p[:open]+p[from:to]+p[shut+1:])
			from = to + 1
		}
		todo = append(choices, todo...)
	}
	return append(done, todo...)
}

// firstBraces finds the first balanced pair of braces and the commas directly in it.
func firstBraces(p string) (open, shut int, commas []int) {
	open = -1
	depth := 0
	for i := 0; i < len(p); i++ {
		switch p[i] {
		case '\\':
			i++
		case '{':
			if depth == 0 {
				open, commas = i, nil
			}
			depth++
		case ',':
			if depth == 1 {
				commas = append(commas, i)
			}
		case '}':
			if depth == 1 {
				return open, i, commas
			}
			if depth > 0 {
				depth--
			}
		}
	}
	return -1, -1, nil
}
