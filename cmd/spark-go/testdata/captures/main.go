// Command captures has what spark-go vet refuses.
package main

import (
	"context"
	"fmt"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/rdd"
)

func main() {
	sc := driver.New()
	defer sc.Stop()
	step := int64(3)
	_, err := rdd.Map(rdd.Range(sc, 0, 10, 1, 2), func(x int64) int64 { return x + step }).Count(context.Background())
	fmt.Println("ran:", err)
}
