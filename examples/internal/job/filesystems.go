package job

import (
	_ "github.com/spark-go/spark-go/io/hdfsfs" // inputs and outputs may lie on hdfs://
	_ "github.com/spark-go/spark-go/io/s3fs"   // and on s3://
)
