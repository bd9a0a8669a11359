package textio_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/io/filesys"
	"github.com/spark-go/spark-go/io/textio"
	"github.com/spark-go/spark-go/rdd"
)

// setting is a row of files with lines such as "name = value".
type setting struct{ Name, Value string }

// settings is the format of these files.
type settings struct{ BadLines textio.BadLines }

func (f settings) NewDecoder() (textio.Decoder[setting], error) {
	return &settingReader{bad: f.BadLines}, nil
}

// settingReader reads one line at a time.
type settingReader struct {
	bad   textio.BadLines
	ctx   context.Context
	in    *textio.SplitReader
	tally textio.BadTally
	line  int64
	row   [1]setting
}

func (r *settingReader) Open(ctx context.Context, s textio.Split) (err error) {
	r.ctx, r.tally, r.line = ctx, r.bad.Tally(s), 0
	r.in, err = textio.OpenSplit(ctx, s)
	return err
}

func (r *settingReader) Next() ([]setting, error) {
	defer r.tally.Flush()
	for {
		offset := r.in.Offset()
		line, err := r.in.Line()
		if err != nil {
			return nil, err // io.EOF at the end of the split
		}
		r.line++
		if name, value, ok := strings.Cut(string(line), "="); ok {
			r.row[0] = setting{strings.TrimSpace(name), strings.TrimSpace(value)}
			return r.row[:], nil
		}
		if err := r.tally.Add(r.ctx, textio.BadLine{Offset: offset, Line: r.line, Reason: "there is no ="}, line); err != nil {
			return nil, err
		}
	}
}

func (r *settingReader) Close() error { return r.in.Close() }

func ExampleReadRows() {
	ctx := context.Background()
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	if err := filesys.WriteFile(ctx, "mem://settings/a.conf", []byte("depth = 5\nwhat\nrate=0.1")); err != nil {
		fmt.Println(err)
	}
	bad, err := textio.CollectBadLines(sc, "bad settings", 10)
	if err != nil {
		fmt.Println(err)
	}
	rows := textio.ReadRows(sc, "ReadSettings", "mem://settings/", textio.Format[setting](settings{bad}), nil, textio.PlanLines, nil)
	fmt.Println(rows.Collect(ctx))
	fmt.Println(bad.Count(), bad.Lines()[0].Reason)
	// Output:
	// [{depth 5} {rate 0.1}] <nil>
	// 1 there is no =
}

// settingWriter writes such files.
type settingWriter struct{}

func (settingWriter) Begin() (head []byte, appendRows func([]byte, []setting) ([]byte, error), err error) {
	return []byte("version = 1\n"), func(dst []byte, rows []setting) ([]byte, error) {
		for _, r := range rows {
			dst = fmt.Appendf(dst, "%s = %s\n", r.Name, r.Value)
		}
		return dst, nil
	}, nil
}

func ExampleSaveRows() {
	ctx := context.Background()
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	rows := rdd.Parallelize(sc, []setting{{"depth", "5"}, {"rate", "0.1"}}, 1)
	fmt.Println(textio.SaveRows(ctx, rows, "mem://settings/out", "WriteSettings", ".conf", textio.Encoder[setting](settingWriter{}), textio.SaveOptions{}))
	b, err := filesys.ReadFile(ctx, "mem://settings/out/part-00000.conf")
	fmt.Printf("%s%v\n", b, err)
	// Output:
	// <nil>
	// version = 1
	// depth = 5
	// rate = 0.1
	// <nil>
}
