package vet

import (
	"bytes"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestAgreesWithRuntime holds the analyser to the real package rdd: it reports
// the functions that rdd refuses when the program runs, and no others. What a
// compiler release changes about captures shows here.
func TestAgreesWithRuntime(t *testing.T) {
	const program = "./testdata/agree"
	var stderr bytes.Buffer
	cmd := exec.Command("go", "run", program)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("run %s: %v\n%s", program, err, &stderr)
	}
	refused := make(map[string]bool)
	for line := range strings.Lines(string(out)) {
		refused[strings.TrimSpace(line)] = true
	}

	findings, err := analyse([]string{program}, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	src, err := os.ReadFile(program + "/main.go")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(src), "\n")
	name := regexp.MustCompile(`show\("([^"]+)"|// case: (.+)`)
	reported := make(map[string]bool)
	for _, f := range findings {
		m := name.FindStringSubmatch(lines[f.Line-1])
		if m == nil {
			t.Errorf("%s:%d is no case: %s", f.File, f.Line, f.Message)
			continue
		}
		reported[m[1]+m[2]] = true
	}
	got, want := slices.Sorted(maps.Keys(reported)), slices.Sorted(maps.Keys(refused))
	if !slices.Equal(got, want) {
		t.Errorf("the analyser reports\n\t%s\nrdd refuses\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
	if len(want) == 0 {
		t.Error("rdd refused nothing")
	}
}
