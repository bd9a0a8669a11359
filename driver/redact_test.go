package driver_test

import (
	"errors"
	"fmt"
	"iter"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/driver/cluster"
	"github.com/spark-go/spark-go/rdd"
)

// text is a writer that keeps what is written.
type text struct {
	mu sync.Mutex
	b  strings.Builder
}

func (t *text) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.Write(p)
}

func (t *text) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.String()
}

// What looks like a secret stands in no error, log or event, whoever put it into an error: a task, a process's last lines, the driver's own code;
// and not in what executors' standard error shows.
func TestSecretsAreNotShown(t *testing.T) {
	const hidden = "hunter2"
	const leak = "Get https://b.s3.amazonaws.com/k?X-Amz-Credential=" + hidden + "&X-Amz-Signature=" + hidden + ": s3a://user:" + hidden + "@bucket/x: key " + hidden + "-of-the-store"
	for _, master := range []string{"local[1]", "local-cluster[1,1,128m]"} {
		log := logged(t)
		var printed text
		restore := driver.ChangeCluster(func(c *cluster.Config) { c.Stderr = &printed })
		sc := driver.New(driver.Master(master), driver.Set("spark.hadoop.fs.s3a.secret.key", hidden+"-of-the-store"), driver.Set("spark.task.maxFailures", "2"))
		restore()
		var events text
		sc.AddListener(func(e driver.Event) { fmt.Fprintf(&events, "%+v\n", e) })
		rows := rdd.Range(sc, 0, 4, 1, 1)
		errs := map[string]error{}
		_, errs["a panic in a task"] = rdd.Map(rows, func(x int64) int64 { panic(leak) }).Collect(t.Context())
		_, errs["an error of a task"] = rdd.MapPartitionsWithTask(rows, func(_ *rdd.Task, in iter.Seq[int64]) (iter.Seq[int64], error) {
			return in, errors.New(leak)
		}).Collect(t.Context())
		if master != "local[1]" {
			_, errs["last words"] = rdd.Map(rows, func(x int64) int64 {
				fmt.Fprintln(os.Stderr, leak)
				os.Exit(3)
				return x
			}).Collect(t.Context())
		}
		sc.Stop()
		for name, err := range errs {
			if err == nil || !strings.Contains(err.Error(), "b.s3.amazonaws.com/k?X-Amz-Credential=*****") || strings.Contains(err.Error(), hidden) {
				t.Errorf("%s: %s: %v", master, name, err)
			}
		}
		shown := map[string]string{"log": log(), "events": events.String()}
		if master != "local[1]" {
			shown["standard error"] = printed.String()
		}
		for name, text := range shown {
			if !strings.Contains(text, "b.s3.amazonaws.com") || strings.Contains(text, hidden) {
				t.Errorf("%s: the %s: %s", master, name, text)
			}
		}
	}
}
