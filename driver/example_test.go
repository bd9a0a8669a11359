package driver_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/rdd"
)

func ExampleNew() {
	sc := driver.New(driver.Name("squares"), driver.Master("local[2]"))
	defer sc.Stop()
	squares := rdd.Map(rdd.Range(sc, 1, 6, 1, 2), func(x int64) int64 { return x * x })
	rows, err := squares.Collect(context.Background())
	fmt.Println(rows, err)
	// Output: [1 4 9 16 25] <nil>
}

func ExampleSet() {
	sc := driver.New(driver.Master("local[2]"), driver.Set("spark.default.parallelism", "3"))
	defer sc.Stop()
	fmt.Println(rdd.Parallelize(sc, []string{"a", "b", "c", "d"}, 0).NumPartitions())

	wrong := driver.New(driver.Set("spark.executor.memroy", "2g"))
	fmt.Println(wrong.Err())
	// Output:
	// 3
	// set spark.executor.memroy (from code): no such setting; the nearest is spark.executor.memory
}

func ExampleWithJobGroup() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	started := make(chan bool, 1)
	sc.AddListener(func(e driver.Event) {
		if _, ok := e.(driver.TaskStarted); ok {
			select {
			case started <- true:
			default:
			}
		}
	})
	go func() {
		<-started
		sc.CancelJobGroup("nightly")
	}()
	ctx := driver.WithJobGroup(context.Background(), "nightly", "counts what nobody has counted")
	_, err := rdd.Range(sc, 0, 1<<60, 1, 2).Count(ctx)
	fmt.Println(errors.Is(err, driver.ErrCancelled))
	// Output: true
}

func ExampleWithJobTags() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	started := make(chan bool, 4)
	sc.AddListener(func(e driver.Event) {
		if _, ok := e.(driver.TaskStarted); ok {
			started <- true
		}
	})
	go func() {
		<-started
		sc.CancelJobsWithTag("report")
	}()
	ctx := driver.WithJobTags(context.Background(), "report", "team-a")
	fmt.Println(driver.JobTags(ctx), driver.JobTags(driver.WithoutJobTags(ctx, "report")))
	_, err := rdd.Range(sc, 0, 1<<60, 1, 1).Count(ctx)
	fmt.Println(errors.Is(err, driver.ErrCancelled))
	// Output:
	// [report team-a] [team-a]
	// true
}

func ExampleContext_CancelJobGroupAndFutureJobs() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	ctx := driver.WithJobGroup(context.Background(), "fit", "a fit of many jobs")
	sc.CancelJobGroupAndFutureJobs("fit")
	_, err := rdd.Range(sc, 0, 10, 1, 1).Count(ctx)
	fmt.Println(err)
	// Output: Count: the job was cancelled: its group "fit" was cancelled with its future jobs
}

func ExampleContext_AddListener() {
	sc := driver.New(driver.Master("local[1]"))
	defer sc.Stop()
	sc.AddListener(func(e driver.Event) {
		switch e := e.(type) {
		case driver.JobStarted:
			fmt.Println("job", e.Job, e.Name, "of", len(e.Stages), "stages")
		case driver.StageSubmitted:
			fmt.Println("stage", e.Stage, "of", e.Tasks, "tasks")
		}
	})
	ones := rdd.Map(rdd.Parallelize(sc, []string{"b", "a", "b"}, 3), func(w string) rdd.Pair[string, int64] { return rdd.Pair[string, int64]{Key: w, Value: 1} })
	if _, err := rdd.ReduceByKey(ones, func(a, b int64) int64 { return a + b }, 2).Count(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output:
	// job 0 Count of 2 stages
	// stage 0 of 3 tasks
	// stage 1 of 2 tasks
}

func ExampleContext_Decommission() {
	sc := driver.New(driver.Master("local-cluster[1,1,128m]"))
	defer sc.Stop()
	sc.AddListener(func(e driver.Event) {
		if e, ok := e.(driver.ExecutorRemoved); ok {
			fmt.Println(e.Reason)
		}
	})
	ctx := context.Background()
	squares := rdd.Map(rdd.Range(sc, 1, 6, 1, 2), func(x int64) int64 { return x * x }).Cache()
	if _, err := squares.Count(ctx); err != nil {
		fmt.Println(err)
	}
	if err := sc.Decommission(ctx, "0.1"); err != nil {
		fmt.Println(err)
	}
	fmt.Println(squares.Collect(ctx))
	// Output:
	// executor 0.1 was decommissioned: 0 map outputs and 2 cached blocks were moved, 0 could not be
	// [1 4 9 16 25] <nil>
}
