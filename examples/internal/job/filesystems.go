package job

// The file systems that inputs and outputs may lie on besides the local disk.
import (
	_ "github.com/spark-go/spark-go/io/hdfsfs"
	_ "github.com/spark-go/spark-go/io/s3fs"
)
