package fixes

import (
	"time"

	"github.com/spark-go/spark-go/rdd"
)

type dataset = rdd.RDD[int]

func now() time.Time { return time.Now() }
