package filesys_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/spark-go/spark-go/io/filesys"
)

func ExampleExpand() {
	ctx := context.Background()
	for _, name := range []string{"2026/a.csv", "2026/b.csv", "2025/a.csv", "2026/_SUCCESS"} {
		if err := filesys.WriteFile(ctx, "mem://sales/"+name, []byte("x\n")); err != nil {
			fmt.Println(err)
		}
	}
	files, err := filesys.Expand(ctx, "mem://sales/2026,mem://sales/{2024,2025}/*.csv")
	for _, f := range files {
		fmt.Println(f.URI, f.Size)
	}
	fmt.Println(err)
	// Output:
	// mem://sales/2026/a.csv 2
	// mem://sales/2026/b.csv 2
	// mem://sales/2025/a.csv 2
	// <nil>
}

func ExampleOutput() {
	ctx := context.Background()
	out, err := filesys.NewOutput(ctx, "mem://example/out", filesys.ErrorIfExists)
	if err != nil {
		fmt.Println(err)
		return
	}
	var files []filesys.TaskFile
	for partition := range 2 { // on executors
		w, err := out.CreateTask(ctx, partition, ".txt")
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Fprintf(w, "partition %d\n", partition)
		if err := w.Close(); err != nil {
			fmt.Println(err)
			return
		}
		files = append(files, w.File(1))
	}
	fmt.Println(out.Commit(ctx, files)) // on the driver

	manifest, err := filesys.ReadManifest(ctx, out.URI)
	fmt.Println(manifest.Rows, manifest.Bytes, manifest.Files[1].Name, manifest.Files[1].Checksum, err)

	_, err = filesys.NewOutput(ctx, "mem://example/out", filesys.ErrorIfExists)
	fmt.Println(err)
	// Output:
	// <nil>
	// 2 24 part-00001.txt crc32c:26992fcb <nil>
	// write mem://example/out: the output directory exists and is not empty: remove it, name another, or choose the save mode overwrite or append
}

func ExampleGet() {
	_, _, err := filesys.Get(context.Background(), "ftp://host/file")
	fmt.Println(err)
	// Output:
	// open ftp://host/file: no file system is registered for the scheme "ftp": import the package that registers it in the program (known here: file, mem), or write a plain path for a local file
}

func ExampleIsLocal() {
	for _, uri := range []string{"data/a.csv", "file:///data/a.csv", "mem://x/a.csv", "hdfs://nn/a.csv", "s3://b/a.csv"} {
		fmt.Println(uri, filesys.IsLocal(uri))
	}
	// Output:
	// data/a.csv true
	// file:///data/a.csv true
	// mem://x/a.csv true
	// hdfs://nn/a.csv false
	// s3://b/a.csv false
}

// Clean removes what dead jobs left, and leaves jobs that are alive alone.
func ExampleClean() {
	ctx := context.Background()
	out, err := filesys.NewOutput(ctx, "mem://cleaned/out", filesys.ErrorIfExists)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = filesys.Clean(ctx, "mem://cleaned/out", filesys.CleanOptions{})
	fmt.Println("busy:", errors.Is(err, filesys.ErrBusy))
	if err := out.Abort(ctx); err != nil {
		fmt.Println(err)
	}
	_, err = filesys.Clean(ctx, "mem://cleaned/out", filesys.CleanOptions{})
	there, err2 := filesys.Exists(ctx, "mem://cleaned/out")
	fmt.Println("left:", there, err, err2)
	// Output:
	// busy: true
	// left: false <nil> <nil>
}
