// Command program is what the tests of spark-go submit run.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/rdd"
)

func main() {
	what, rest := "count", []string(nil)
	if len(os.Args) > 1 {
		what, rest = os.Args[1], os.Args[2:]
	}
	var options []driver.Option
	if what == "code" {
		options = append(options, driver.Name("from code"))
	}
	sc := driver.New(options...)
	defer sc.Stop()
	if err := sc.Err(); err != nil {
		fmt.Fprintln(os.Stderr, "program:", err)
		os.Exit(1)
	}
	switch what {
	case "count", "code":
		n, err := rdd.Range(sc, 0, 1000, 1, 4).Count(context.Background())
		fmt.Println(n, err, sc.ApplicationName(), sc.Setting("spark.task.maxFailures"))
	case "args":
		fmt.Println(strings.Join(rest, "|"))
	case "exit":
		code, _ := strconv.Atoi(rest[0])
		sc.Stop()
		os.Exit(code)
	case "die":
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
	case "cat":
		io.Copy(os.Stdout, os.Stdin)
	case "print":
		rdd.Foreach(context.Background(), rdd.Range(sc, 0, 2, 1, 2), func(x int64) { fmt.Println("printed in task", x) })
	case "slow":
		_, err := rdd.Map(rdd.Range(sc, 0, 8, 1, 8), func(x int64) int64 {
			fmt.Println("task runs")
			time.Sleep(400 * time.Millisecond)
			return x
		}).Count(context.Background())
		fmt.Println("ended", err)
	case "forever":
		_, err := rdd.Map(rdd.Range(sc, 0, 1<<60, 1, 4), func(x int64) int64 {
			if x == 0 {
				fmt.Println("task runs")
			}
			return x
		}).Count(context.Background())
		fmt.Println("ended", err)
	}
}
