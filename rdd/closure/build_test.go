package closure

import (
	"bytes"
	"debug/macho"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// slow says whether tests that take long from a cold build cache should run. It
// asks each time: go test takes note only of what tests themselves look up, and
// would otherwise answer from the cache of a run without the slow ones.
func slow() bool { return os.Getenv("SPARK_GO_SLOW") != "" }

// build compiles the program in testdata/ship.
func build(t *testing.T, env []string, flags ...string) string {
	t.Helper()
	exe := filepath.Join(t.TempDir(), "ship")
	cmd := exec.Command("go", append(append([]string{"build", "-o", exe}, flags...), "./testdata/ship")...)
	cmd.Env = append(append(os.Environ(), "GOFLAGS="), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build %v: %v\n%s", flags, err, out)
	}
	return exe
}

func start(t *testing.T, stdin []byte, exe string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(exe, args...)
	cmd.Stdin = bytes.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", filepath.Base(exe), args, err, stderr.Bytes())
	}
	return out
}

// Jobs that one process encodes must run in another, wherever that is loaded,
// however the program was built.
func TestBuildModes(t *testing.T) {
	if testing.Short() {
		t.Skip("builds programs")
	}
	_, noCC := exec.LookPath("gcc")
	for _, mode := range []struct {
		name      string
		flags     []string
		cgo, slow bool
	}{
		{name: "plain"},
		{name: "stripped", flags: []string{"-ldflags=-s -w"}},
		{name: "trimpath", flags: []string{"-trimpath"}},
		{name: "pie", flags: []string{"-buildmode=pie"}},
		{name: "race", flags: []string{"-race"}, cgo: true},
		{name: "stripped pie", flags: []string{"-buildmode=pie", "-trimpath", "-ldflags=-s -w"}, slow: true},
		{name: "external linker", flags: []string{"-ldflags=-linkmode=external"}, cgo: true, slow: true},
		{name: "external linker, pie", flags: []string{"-buildmode=pie", "-ldflags=-linkmode=external -s -w"}, cgo: true, slow: true},
		{name: "without optimisation", flags: []string{"-gcflags=all=-N -l"}, slow: true},
		{name: "coverage", flags: []string{"-cover"}, slow: true},
	} {
		t.Run(mode.name, func(t *testing.T) {
			if mode.cgo && noCC != nil {
				t.Skip("needs a C compiler")
			}
			if mode.slow && !slow() {
				t.Skip("set SPARK_GO_SLOW=1 to run it")
			}
			var env []string
			if mode.cgo {
				env = []string{"CGO_ENABLED=1"}
			}
			if mode.name == "coverage" {
				t.Setenv("GOCOVERDIR", t.TempDir())
			}
			exe := build(t, env, mode.flags...)
			want := start(t, nil, exe, "run")
			if lines := bytes.Count(want, []byte("\n")); lines < 10 {
				t.Fatalf("the program ran only %d functions:\n%s", lines, want)
			}
			bytes1, bytes2 := start(t, nil, exe, "encode"), start(t, nil, exe, "encode")
			if !bytes.Equal(bytes1, bytes2) {
				t.Error("two processes encode the same jobs differently")
			}
			if got := start(t, bytes1, exe, "decode"); !bytes.Equal(got, want) {
				t.Errorf("decoded elsewhere, got\n%swant\n%s", got, want)
			}
			check := string(start(t, nil, exe, "check"))
			if !strings.Contains(check, "<nil> the function main.serve.func1 (main.go:") {
				t.Errorf("CheckFunc: %s", check)
			}
			if strings.Contains(mode.name, "pie") && runtime.GOOS == "linux" {
				if aslr, _ := os.ReadFile("/proc/sys/kernel/randomize_va_space"); string(bytes.TrimSpace(aslr)) == "2" &&
					bytes.Equal(start(t, nil, exe, "where"), start(t, nil, exe, "where")) {
					t.Error("both processes were loaded at one address: this test shows nothing")
				}
			}
			// Another build must refuse rather than misread.
			if mode.name == "stripped" {
				var c Codec
				if v, _, err := c.Decode(bytes1); err == nil {
					t.Errorf("this program read another program's %T", v)
				}
			}
		})
	}
}

// A stripped program must be refused with a reason once its section headers are
// gone, as packers leave it.
func TestPackedExecutable(t *testing.T) {
	f, err := openExecutable()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if runtime.GOOS != "linux" {
		t.Skip("edits ELF")
	}
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	clear(b[0x28:0x30]) // the offset of the section headers
	clear(b[0x3c:0x40]) // their number and that of their names
	if _, err := readELF(bytes.NewReader(b)); err == nil || !strings.Contains(err.Error(), "no section headers") {
		t.Errorf("got %v", err)
	}
	if l, err := readELF(bytes.NewReader([]byte("#!/bin/sh\n"))); err == nil {
		t.Errorf("read %v from a script", l)
	}
}

// What cannot run here is at least read: the sections of Mach-O programs,
// against the linker's own symbols.
func TestMachO(t *testing.T) {
	if !slow() {
		t.Skip("set SPARK_GO_SLOW=1 to run it: it builds the standard library for darwin")
	}
	for _, arch := range []string{"arm64", "amd64"} {
		for _, flags := range [][]string{nil, {"-ldflags=-s -w"}} {
			t.Run(arch+strings.Join(flags, ""), func(t *testing.T) {
				f, err := os.Open(build(t, []string{"GOOS=darwin", "GOARCH=" + arch, "CGO_ENABLED=0"}, flags...))
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				l, err := readMachO(f)
				if err != nil {
					t.Fatal(err)
				}
				addr, err := l.find(marker)
				if err != nil {
					t.Fatal(err)
				}
				im := image{layout: l}
				if !im.inReadonly(addr, uint64(len(marker))) {
					t.Errorf("the marker at %#x is not in a read-only section", addr)
				}
				if len(flags) > 0 {
					return
				}
				symbols := map[string]uint64{}
				m, err := macho.NewFile(f)
				if err != nil {
					t.Fatal(err)
				}
				for _, s := range m.Symtab.Syms {
					symbols[strings.TrimPrefix(s.Name, "_")] = s.Value
				}
				if code := symbols["main.half"]; code == 0 || !im.inText(code) {
					t.Errorf("main.half at %#x is not in the code", code)
				}
				for _, name := range []string{"runtime.types", "go:func.*"} {
					if at := symbols[name]; at == 0 || !im.inReadonly(at, 8) {
						t.Errorf("%s at %#x is not in a read-only section", name, at)
					}
				}
			})
		}
	}
}

// It must compile wherever it is meant to run.
func TestCrossCompile(t *testing.T) {
	if !slow() {
		t.Skip("set SPARK_GO_SLOW=1 to run it: it vets for other systems")
	}
	for _, target := range []string{"linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64"} {
		t.Run(target, func(t *testing.T) {
			goos, goarch, _ := strings.Cut(target, "/")
			cmd := exec.Command("go", "vet", ".", "./testdata/ship")
			cmd.Env = append(os.Environ(), "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=0")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
