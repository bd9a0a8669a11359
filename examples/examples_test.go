// Package examples_test runs the example programs as their users do: as processes, on the data of the repository.
package examples_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// bin is where TestMain builds the programs, and root the directory that their default inputs are relative to.
var bin, root string

func TestMain(m *testing.M) {
	status, err := buildAndRun(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		status = 1
	}
	os.Exit(status)
}

func buildAndRun(m *testing.M) (int, error) {
	wd, err := os.Getwd()
	if err != nil {
		return 1, err
	}
	root = filepath.Dir(wd)
	if bin, err = os.MkdirTemp("", "spark-go-examples"); err != nil {
		return 1, err
	}
	defer os.RemoveAll(bin)
	build := exec.Command("go", "build", "-o", bin+string(filepath.Separator), "./...")
	if out, err := build.CombinedOutput(); err != nil {
		return 1, fmt.Errorf("build the examples: %w\n%s", err, out)
	}
	return m.Run(), nil
}

// result is how a program ended.
type result struct {
	status         int
	stdout, stderr string
}

// run runs an example in a directory.
func run(t *testing.T, dir, example string, args ...string) result {
	t.Helper()
	cmd := exec.Command(filepath.Join(bin, example), args...)
	var stdout, stderr bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &stdout, &stderr
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// report runs an example in the root of the repository and returns its JSON object, which must be all of its standard output.
func report(t *testing.T, example string, args ...string) map[string]any {
	t.Helper()
	r := run(t, root, example, append(args, "--json")...)
	if r.status != 0 {
		t.Fatalf("%s %q ended with status %d: %s", example, args, r.status, r.stderr)
	}
	var object map[string]any
	if err := json.Unmarshal([]byte(r.stdout), &object); err != nil || strings.Count(r.stdout, "\n") != 1 {
		t.Fatalf("%s %q: standard output is not one JSON object on one line (%v): %s", example, args, err, r.stdout)
	}
	return object
}

// examples lists the programs and the keys of their reports.
var examples = []struct {
	name string
	keys []string
}{
	{"wordcount", []string{"words", "distinct", "top"}},
	{"sort", []string{"records"}},
	{"join", []string{"rows", "keys", "top"}},
	{"pagerank", []string{"nodes", "edges", "iterations", "top"}},
	{"als", []string{"rmse", "train_rows", "test_rows", "users", "items"}},
	{"logistic", []string{"loss", "log_loss", "accuracy", "auc", "iterations", "coefficients_norm2", "intercept", "classes"}},
	{"kmeans", []string{"cost", "iterations", "sizes"}},
	{"randomforest", []string{"accuracy", "features_importance", "nodes"}},
	{"pipeline", []string{"best", "metrics", "points", "predicted"}},
}

func TestReports(t *testing.T) {
	for _, e := range examples {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			object := report(t, e.name)
			for _, k := range append(e.keys, "load_s", "run_s", "total_s", "partitions", "sha256") {
				if _, ok := object[k]; !ok {
					t.Errorf("the report has no %q: %v", k, object)
				}
			}
			people := run(t, root, e.name)
			if people.status != 0 || people.stderr != "" {
				t.Errorf("status %d, standard error %q", people.status, people.stderr)
			}
			for _, k := range append(e.keys, "sha256", "time") {
				if !strings.Contains("\n"+people.stdout, "\n"+k) {
					t.Errorf("the report for people has no line %q:\n%s", k, people.stdout)
				}
			}
			if sum, _ := object["sha256"].(string); !strings.Contains(people.stdout, sum) {
				t.Errorf("people are told of another sha256 than %s:\n%s", sum, people.stdout)
			}
		})
	}
}

// TestSameBytes compares the results of one program on one core, on four, and on two executors.
func TestSameBytes(t *testing.T) {
	for _, e := range examples {
		for _, flags := range [][]string{nil, {"--partitions", "3"}} {
			t.Run(e.name+strings.Join(flags, ""), func(t *testing.T) {
				t.Parallel()
				want := report(t, e.name, append(slices.Clone(flags), "--master", "local[1]")...)
				for _, master := range []string{"local[4]", "local-cluster[2,1,512m]"} {
					got := report(t, e.name, append(slices.Clone(flags), "--master", master)...)
					for _, k := range append(e.keys, "partitions", "sha256") {
						if fmt.Sprint(got[k]) != fmt.Sprint(want[k]) {
							t.Errorf("%s: %s is %v, in local[1] %v", master, k, got[k], want[k])
						}
					}
				}
				if len(flags) > 0 && want["partitions"] != 3.0 {
					t.Errorf("%v partitions", want["partitions"])
				}
			})
		}
	}
}

func TestRefusals(t *testing.T) {
	dir := t.TempDir()
	empty, damaged, nothing := filepath.Join(dir, "empty"), filepath.Join(dir, "damaged.parquet"), filepath.Join(dir, "nothing")
	write(t, empty, nil)
	write(t, damaged, slices.Concat([]byte("PAR1"), make([]byte, 100), []byte("PAR1")))
	if err := os.Mkdir(nothing, 0o700); err != nil {
		t.Fatal(err)
	}
	words := filepath.Join(dir, "words")
	write(t, words, []byte("b a b\n"))
	const ratings = "examples/testdata/ratings.parquet"
	for _, c := range []struct {
		name    string
		example string
		args    []string
		status  int
		says    []string
	}{
		{"unknown flag", "sort", []string{"--inptu", words}, 2, []string{"--inptu", "--help"}},
		{"argument", "sort", []string{words}, 2, []string{words, "flag"}},
		{"negative partitions", "sort", []string{"--partitions", "-1"}, 2, []string{`"-1"`, "--partitions", "at least 0"}},
		{"no number", "wordcount", []string{"--top", "many"}, 2, []string{`"many"`, "--top", "whole number"}},
		{"no value", "wordcount", []string{"--top"}, 2, []string{"--top"}},
		{"damping", "pagerank", []string{"--damping", "1.5"}, 2, []string{"--damping", "from 0 to 1"}},
		{"NaN", "pagerank", []string{"--tol", "NaN"}, 2, []string{"--tol"}},
		{"cold start", "als", []string{"--cold-start", "warm"}, 2, []string{`"warm"`, "drop or nan"}},
		{"train alone", "als", []string{"--train", ratings}, 2, []string{"--train and --test"}},
		{"train and input", "als", []string{"--train", ratings, "--test", ratings, "--input", ratings}, 2, []string{"--input"}},
		{"rank", "als", []string{"--rank", "0"}, 2, []string{"--rank", "at least 1"}},
		{"start", "kmeans", []string{"--init", "best"}, 2, []string{`"best"`, "k-means||"}},
		{"features and exclude", "kmeans", []string{"--features-col", "x", "--exclude", "y"}, 2, []string{"--exclude"}},
		{"task", "randomforest", []string{"--task", "guess"}, 2, []string{`"guess"`, "classification or regression"}},
		{"test alone", "randomforest", []string{"--test", ratings}, 2, []string{"--train and --test"}},
		{"bins", "randomforest", []string{"--bins", "1"}, 2, []string{"--bins", "at least 2"}},
		{"pipeline task", "pipeline", []string{"--task", "guess"}, 2, []string{`"guess"`, "classification or regression"}},
		{"metric", "pipeline", []string{"--metric", "rmse"}, 2, []string{`"rmse"`, "logLoss"}},
		{"folds", "pipeline", []string{"--folds", "1"}, 2, []string{"--folds", "at least 2"}},
		{"test without train", "logistic", []string{"--test", ratings}, 2, []string{"--test goes with --train"}},
		{"master", "sort", []string{"--master", "locl[2]"}, 1, []string{"locl[2]", "local[N]"}},

		{"missing text", "wordcount", []string{"--input", filepath.Join(dir, "nix")}, 1, []string{"nix", "does not exist"}},
		{"missing glob", "sort", []string{"--input", filepath.Join(dir, "nix*")}, 1, []string{"nix*"}},
		{"missing Parquet", "join", []string{"--left", filepath.Join(dir, "nix")}, 1, []string{"nix", "does not exist"}},
		{"unknown scheme", "sort", []string{"--input", "gopher://x/y"}, 1, []string{"gopher"}},
		{"empty text", "wordcount", []string{"--input", empty}, 1, []string{empty, "--input"}},
		{"empty records", "sort", []string{"--input", empty}, 1, []string{empty, "--input"}},
		{"empty directory", "sort", []string{"--input", nothing}, 1, []string{nothing}},
		{"empty directory of Parquet", "pagerank", []string{"--input", nothing}, 1, []string{nothing}},
		{"empty Parquet", "als", []string{"--input", empty}, 1, []string{empty}},
		{"damaged Parquet", "pagerank", []string{"--input", damaged}, 1, []string{damaged}},
		{"no Parquet", "join", []string{"--right", "LICENSE"}, 1, []string{"LICENSE", "Parquet"}},
		{"output exists", "sort", []string{"--input", words, "--output", dir}, 1, []string{dir, "exists"}},
		{"output exists, wordcount", "wordcount", []string{"--input", words, "--output", dir}, 1, []string{dir, "exists"}},

		{"no place for the clusters", "kmeans", []string{"--save", filepath.Join(words, "model")}, 1, []string{words}},
		{"no place for the model", "als", []string{"--save", filepath.Join(words, "model")}, 1, []string{words, "save model"}},

		{"no place for the forest", "randomforest", []string{"--save", filepath.Join(words, "model")}, 1, []string{words}},

		{"no place for the pipeline", "pipeline", []string{"--save", filepath.Join(words, "model")}, 1, []string{words, "save model"}},
		{"nothing to predict", "pipeline", []string{"--label-col", "name"}, 1, []string{`"name"`, "species, island, bill_length_mm"}},
		{"no such column to leave out", "pipeline", []string{"--exclude", "name"}, 1, []string{`"name"`, "species, island"}},
		{"numbers that are text", "pipeline", []string{"--task", "regression"}, 1, []string{`"sex"`, "give a number"}},
		{"nothing to predict from", "pipeline", []string{"--exclude", "species,island,bill_length_mm,bill_depth_mm,flipper_length_mm,body_mass_g,year"}, 1, []string{`"sex"`, "nothing to predict"}},
		{"empty table", "pipeline", []string{"--input", empty}, 1, []string{empty}},
		{"no rows", "pipeline", []string{"--input", parquetFile[shop](t, nil), "--label-col", "shop"}, 1, []string{"file.parquet", `"shop"`, "no row"}},

		{"no such label", "randomforest", []string{"--label-col", "class"}, 1, []string{`"class"`, "label, f1, f2, f3, f4"}},
		{"no such category", "randomforest", []string{"--categorical", "f1,f9"}, 1, []string{"f1"}},
		{"broken categories", "randomforest", []string{"--categorical", "f1"}, 1, []string{`"f1"`, "float64", "whole numbers"}},
		{"subsets", "randomforest", []string{"--subsets", "few"}, 1, []string{`"few"`, "sqrt"}},
		{"no such column", "pagerank", []string{"--src-col", "from"}, 1, []string{`"from"`, "src, dst"}},
		{"no such feature", "kmeans", []string{"--features-col", "z"}, 1, []string{`"z"`, "x, y"}},
		{"nothing to exclude", "kmeans", []string{"--exclude", "z"}, 1, []string{`"z"`, "x, y"}},
		{"no such key", "join", []string{"--on", "id"}, 1, []string{`"id"`, "userId, itemId, rating, timestamp"}},
		{"no such value", "join", []string{"--sum", "price"}, 1, []string{`"price"`, "rating, timestamp", "ratings, mean"}},
		{"no such rating", "als", []string{"--rating-col", "stars"}, 1, []string{`"stars"`, "userId, itemId, rating, timestamp"}},
		{"key of fractions", "join", []string{"--on", "rating"}, 1, []string{`"rating"`, "float32"}},
		{"sum of text", "join", []string{"--left", "examples/testdata/imports.parquet", "--right", "examples/testdata/imports.parquet", "--on", "src", "--sum", "dst"}, 1, []string{`"dst"`, "string"}},
		{"user of fractions", "als", []string{"--user-col", "rating"}, 1, []string{`"rating"`, "float32"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := run(t, root, c.example, append(c.args, "--json")...)
			if r.status != c.status || r.stdout != "" {
				t.Errorf("status %d, want %d; standard output %q", r.status, c.status, r.stdout)
			}
			if !strings.HasPrefix(r.stderr, c.example+": ") || strings.Count(r.stderr, "\n") != 1 {
				t.Errorf("not one line: %s", r.stderr)
			}
			for _, s := range c.says {
				if !strings.Contains(r.stderr, s) {
					t.Errorf("%q does not say %q", r.stderr, s)
				}
			}
		})
	}
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestElsewhere runs a program where its default input is not.
func TestElsewhere(t *testing.T) {
	for _, e := range examples {
		r := run(t, t.TempDir(), e.name)
		if r.status != 1 || !strings.Contains(r.stderr, "root of the repository") || !strings.Contains(r.stderr, "--input") && !strings.Contains(r.stderr, "--left") {
			t.Errorf("%s: status %d, %q", e.name, r.status, r.stderr)
		}
	}
	ratings := filepath.Join(root, "examples", "testdata", "ratings.parquet")
	if r := run(t, t.TempDir(), "als", "--train", ratings, "--test", ratings, "--iterations", "1"); r.status != 0 {
		t.Errorf("als with inputs of its own: status %d, %q", r.status, r.stderr)
	}
}

func TestHelp(t *testing.T) {
	for _, e := range examples {
		r := run(t, t.TempDir(), e.name, "--help")
		if r.status != 0 || r.stderr != "" {
			t.Errorf("%s --help: status %d, %q", e.name, r.status, r.stderr)
		}
		for _, s := range []string{"go run ./examples/" + e.name, "spark-go submit", "--json", "--master", "--partitions N"} {
			if !strings.Contains(r.stdout, s) {
				t.Errorf("%s --help does not say %q:\n%s", e.name, s, r.stdout)
			}
		}
	}
}
