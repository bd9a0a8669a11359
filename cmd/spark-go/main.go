// Command spark-go runs programs on executors and checks them before they run.
package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/spark-go/spark-go/cmd/spark-go/internal/clean"
	"github.com/spark-go/spark-go/cmd/spark-go/internal/submit"
	"github.com/spark-go/spark-go/cmd/spark-go/internal/vet"
)

const usage = `spark-go runs Go programs that use the spark-go library.

Usage:
  spark-go submit [options] <package or executable> [-- arguments]   run a program
  spark-go clean [options] <URI>...                                  remove what dead jobs left in output directories
  spark-go vet [-fix] [packages]                                     find functions that cannot travel to executors
  spark-go version                                                   print the version

spark-go <command> --help tells more.
`

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(stderr, usage)
		return 2
	}
	switch args[0] {
	case "submit":
		return submit.Main(args[1:], stdout, stderr)
	case "clean":
		return clean.Main(args[1:], stdout, stderr)
	case "vet":
		return vet.Main(args[1:], stdout, stderr)
	case "version", "--version", "-version":
		fmt.Fprintln(stdout, version())
		return 0
	case "help", "--help", "-help", "-h":
		fmt.Fprint(stdout, usage)
		return 0
	}
	fmt.Fprintf(stderr, "spark-go: unknown command %q: use submit, vet, clean or version\n", args[0])
	return 2
}

// version is the module's version, as the build recorded it, and what it was built with.
func version() string {
	v := "(devel)"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		v = info.Main.Version
	}
	return fmt.Sprintf("spark-go %s, %s, %s/%s", v, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
