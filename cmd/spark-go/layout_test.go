package main

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/spark-go/spark-go/"

// rooms is who may import whom: imports point downwards only. Files of tests are free.
var rooms = map[string][]string{
	"cmd":      {"cmd", "driver", "executor", "rdd", "shuffle", "io", "mllib"},
	"examples": {"examples", "driver", "rdd", "io", "mllib"},
	"driver":   {"driver", "executor", "rdd", "shuffle"},
	"executor": {"executor", "rdd", "shuffle"},
	"mllib":    {"mllib", "rdd", "io"},
	"io":       {"io", "rdd"},
	"rdd":      {"rdd", "shuffle"},
	"shuffle":  {"shuffle"},
}

// narrower holds packages to less than their room allows.
var narrower = map[string][]string{
	"io/filesys":        nil,
	"shuffle/codec":     nil,
	"rdd/closure":       nil,
	"executor/protocol": {"shuffle"},
	"driver/conf":       nil,
}

// leaves are packages that stand below all rooms, besides whom rooms names: driver and executors tell file systems their settings.
var leaves = map[string][]string{"io/filesys": {"driver", "executor"}}

// unsafeAllowed: the task codec, the row codec, the row codec of Parquet pages and the vector kernels.
var unsafeAllowed = map[string]bool{"rdd/closure": true, "shuffle/codec": true, "io/parquetio": true, "mllib/linalg": true}

// why says what to do about a wrong import.
var why = map[string]string{
	"driver":   "if something below needs the driver, it needs an interface of its own that driver implements, as rdd.Session is",
	"executor": "the driver reaches executors through executor/protocol; what both need belongs there or below",
	"io":       "trainers and readers meet at rdd: take or return an rdd.RDD",
	"mllib":    "nothing below mllib may know of it",
	"rdd":      "shuffle moves rows and knows nothing of datasets: pass it what it needs as plain values",
}

func TestImportsPointDownwards(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", module+"...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	dec := json.NewDecoder(strings.NewReader(string(out)))
	seen := 0
	for dec.More() {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		from := strings.TrimPrefix(p.ImportPath, module)
		room, _, _ := strings.Cut(from, "/")
		allowed, known := rooms[room]
		if !known {
			t.Errorf("package %s lies in no room: choose one of cmd, examples, driver, executor, mllib, io, rdd, shuffle", from)
			continue
		}
		seen++
		for _, imp := range p.Imports {
			if imp == "unsafe" && !unsafeAllowed[from] {
				t.Errorf("%s imports unsafe: only the task codec, the row codec and the vector kernels do", from)
			}
			to, ours := strings.CutPrefix(imp, module)
			if !ours {
				continue
			}
			target, _, _ := strings.Cut(to, "/")
			if !contains(allowed, target) && !contains(leaves[to], room) {
				t.Errorf("%s must not import %s: %s", from, to, why[target])
			}
			if limit, ok := narrower[from]; ok && !contains(limit, target) && !strings.HasPrefix(to, from+"/") {
				t.Errorf("%s must not import %s: it stands below it", from, to)
			}
		}
	}
	if seen < 10 {
		t.Fatalf("only %d packages were looked at", seen)
	}
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}
