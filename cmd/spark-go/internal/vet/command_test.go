package vet

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// newModule makes a module of a user, which finds spark-go in the stand-ins of
// testdata, and makes it the working directory.
func newModule(t *testing.T, files map[string]string) {
	t.Helper()
	library, err := filepath.Abs("testdata/src/" + modulePath)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "spark-go"), os.DirFS(library)); err != nil {
		t.Fatal(err)
	}
	all := map[string]string{
		"spark-go/go.mod": "module " + modulePath + "\n\ngo 1.26\n",
		"job/go.mod": "module example.com/job\n\ngo 1.26\n\nrequire " + modulePath + " v0.0.0\n\nreplace " +
			modulePath + " => ../spark-go\n",
	}
	for name, text := range files {
		all["job/"+name] = text
	}
	for name, text := range all {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(filepath.Join(dir, "job"))
	t.Setenv("GOFLAGS", "-mod=mod")
	t.Setenv("GOWORK", "off")
}

const (
	soundMain = `package main

import (
	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/rdd"
)

func main() {
	sc := driver.New()
	defer sc.Stop()
	rdd.Map(rdd.Parallelize(sc, []int{1, 2}, 2), func(x int) int { return x + 1 })
}
`
	capturingMain = `package main

import (
	"os"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/rdd"
)

func main() {
	sc := driver.New()
	defer sc.Stop()
	n, s := 3, "x"
	numbers := rdd.Parallelize(sc, []int{1, 2}, 2)
	rdd.Map(numbers, func(x int) int { return x + n })
	// The same with two.
	rdd.Map(rdd.Filter(numbers, func(x int) bool { return x > len(s)+n }), func(x int) int { return n*x + len(s) })
	out := os.Stdout
	rdd.Map(numbers, func(x int) int { println(out); return x })
}
`
)

func run3(args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	status = Main(args, &out, &errs)
	return status, out.String(), errs.String()
}

func TestMainClean(t *testing.T) {
	newModule(t, map[string]string{"main.go": soundMain})
	if status, out, errs := run3(); status != exitClean || out != "" || errs != "" {
		t.Errorf("got status %d, output %q, errors %q; want 0 and nothing", status, out, errs)
	}
	if status, out, _ := run3("-json", "."); status != exitClean || out != "[]\n" {
		t.Errorf("-json: got status %d, output %q; want 0 and []", status, out)
	}
}

func TestMainFindings(t *testing.T) {
	newModule(t, map[string]string{"main.go": soundMain, "jobs/second/main.go": capturingMain})
	name := filepath.Join("jobs", "second", "main.go")
	want := name + ":15:19: function given to rdd.Map captures n (int): bind it with rdd.Bind\n" +
		name + ":17:30: function given to rdd.Filter captures s (string) and n (int): bind them with rdd.Bind\n" +
		name + ":17:73: function given to rdd.Map captures n (int) and s (string): bind them with rdd.Bind\n" +
		name + ":19:19: function given to rdd.Map captures out (*os.File): out is an open file, which cannot travel to executors; " +
		"open it inside the function, once a partition with rdd.MapPartitions\n"
	status, out, errs := run3()
	if status != exitFindings || out != want || errs != "" {
		t.Errorf("got status %d, errors %q, output\n%s\nwant 1 and\n%s", status, errs, out, want)
	}
	status, out, _ = run3("-json", "./jobs/...")
	var findings []Finding
	if err := json.Unmarshal([]byte(out), &findings); err != nil {
		t.Fatalf("-json: %v in %s", err, out)
	}
	if status != exitFindings || len(findings) != 4 || !findings[0].Fixable || findings[3].Fixable || findings[3].Category != categoryTravel {
		t.Errorf("-json: got status %d and %+v", status, findings)
	}
}

func TestMainFix(t *testing.T) {
	newModule(t, map[string]string{"main.go": capturingMain})
	status, out, errs := run3("-fix", ".")
	if status != exitFindings || strings.Count(out, "\n") != 1 || !strings.Contains(out, "out is an open file") {
		t.Errorf("got status %d, output %q; want 1 and the open file alone", status, out)
	}
	if want := "spark-go vet: fixed 3 of 4 findings, files rewritten: 1\n"; errs != want {
		t.Errorf("got summary %q, want %q", errs, want)
	}
	if msg, err := exec.Command("go", "build", "-o", os.DevNull, ".").CombinedOutput(); err != nil {
		t.Errorf("the rewritten program does not compile: %s", msg)
	}
	if status, again, _ := run3(); status != exitFindings || again != out {
		t.Errorf("a second run found %q, want %q", again, out)
	}
	entries, err := os.ReadDir(".")
	if err != nil || len(entries) > 3 { // go.mod, go.sum, main.go
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

// TestGoldenFilesCompile holds the golden files to what -fix promises: the
// rewritten program compiles, and there is nothing left in it to rewrite.
func TestGoldenFilesCompile(t *testing.T) {
	const dir = "testdata/src/fixes/"
	files := make(map[string]string)
	for _, name := range []string{"dataset.go", "fixes.go", "methodonly.go", "needsimport.go"} {
		text, err := os.ReadFile(dir + name + ".golden")
		if os.IsNotExist(err) {
			text, err = os.ReadFile(dir + name)
		}
		if err != nil {
			t.Fatal(err)
		}
		files["fixes/"+name] = string(text)
	}
	newModule(t, files)
	status, out, errs := run3("-json", "./fixes")
	var findings []Finding
	if err := json.Unmarshal([]byte(out), &findings); err != nil {
		t.Fatalf("status %d, errors %s", status, errs)
	}
	for _, f := range findings {
		if f.Fixable {
			t.Errorf("%s:%d: %s: not rewritten", f.File, f.Line, f.Message)
		}
	}
	if len(findings) != 7 {
		t.Errorf("%d findings are left, want the 7 that have no rewrite: %s", len(findings), out)
	}
}

func TestMainTestFiles(t *testing.T) {
	newModule(t, map[string]string{"main.go": soundMain, "main_test.go": strings.Replace(capturingMain, "func main()", "func helper()", 1)})
	if status, out, _ := run3(); status != exitClean {
		t.Errorf("without -test: got status %d, output %q; want 0", status, out)
	}
	if status, out, _ := run3("-test"); status != exitFindings || strings.Count(out, "\n") != 4 {
		t.Errorf("-test: got status %d, output %q; want 1 and four findings", status, out)
	}
}

func TestMainErrors(t *testing.T) {
	newModule(t, map[string]string{"main.go": "package main\n\nfunc main() { undefined() }\n"})
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"."}, "main.go:3:15: undefined: undefined"},
		{[]string{"./absent"}, "absent"},
		{[]string{"-wrong"}, "usage: spark-go vet"},
		{[]string{"-fix", "."}, "does not compile"},
	} {
		status, out, errs := run3(tt.args...)
		if status != exitError || out != "" || !strings.Contains(errs, tt.want) {
			t.Errorf("%v: got status %d, output %q, errors %q; want 2 and %q", tt.args, status, out, errs, tt.want)
		}
	}
	if status, _, errs := run3("-help"); status != exitClean || !strings.Contains(errs, "usage") {
		t.Errorf("-help: got status %d, errors %q; want 0 and the usage", status, errs)
	}
}

// BenchmarkVet measures one run over a small program with a warm build cache.
func BenchmarkVet(b *testing.B) {
	dir := b.TempDir()
	library, err := filepath.Abs("testdata/src/" + modulePath)
	if err != nil {
		b.Fatal(err)
	}
	_ = os.CopyFS(dir, os.DirFS(library))
	_ = os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module "+modulePath+"\n\ngo 1.26\n"), 0o644)
	_ = os.MkdirAll(filepath.Join(dir, "job"), 0o755)
	_ = os.WriteFile(filepath.Join(dir, "job", "main.go"), []byte(capturingMain), 0o644)
	b.Chdir(dir)
	for b.Loop() {
		if status, out, errs := run3("./job"); status != exitFindings {
			b.Fatal(status, out, errs)
		}
	}
}
