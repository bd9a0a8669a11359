package textio

import (
	"context"
	"io"

	"github.com/spark-go/spark-go/io/filesys"
	"github.com/spark-go/spark-go/rdd"
)

// Lines makes a dataset of the lines of text files, as Spark's textFile: uri is a file, a directory, a glob or a comma list.
// Partitions follow the files' sizes (see PlanLines); minPartitions, or else
// spark.default.parallelism, asks for at least so many. The files are listed now; an error shows at the first action.
func Lines(s rdd.Session, uri string, minPartitions ...int) rdd.RDD[string] {
	splits, err := plan(s, uri, minPartitions, PlanLines)
	return near(rdd.FromSource(s, "Lines", lineSource{}, splits, err), splits)
}

// WholeFiles makes a dataset of files, one row each with its URI and its content, as Spark's wholeTextFiles. Small files
// share partitions.
func WholeFiles(s rdd.Session, uri string, minPartitions ...int) rdd.RDD[File] {
	splits, err := plan(s, uri, minPartitions, PlanFiles)
	return near(rdd.FromSource(s, "WholeFiles", fileSource{}, splits, err), splits)
}

func plan(s rdd.Session, uri string, minPartitions []int, divide func([]filesys.Info, filesys.SplitOptions) [][]Split) ([][]Split, error) {
	n := s.DefaultPartitions()
	if len(minPartitions) > 0 && minPartitions[0] > 0 {
		n = minPartitions[0]
	}
	o, err := filesys.SplitSettings(s.Setting, n)
	if err != nil {
		return nil, err
	}
	files, err := filesys.Expand(context.Background(), uri)
	if err != nil {
		return nil, err
	}
	return divide(files, o), nil
}

type lineSource struct{}

func (lineSource) Open(t *rdd.Task, splits []Split) (rdd.Stream[string], error) {
	s := &lineStream{task: t, splits: splits}
	t.OnDone(func(bool) { s.close() })
	return s, nil
}

// lineStream reads the splits of a partition one after the other.
type lineStream struct {
	task   *rdd.Task
	splits []Split
	open   *LineReader
}

func (s *lineStream) close() {
	if s.open != nil {
		_ = s.open.Close() // what was read was read
		s.open = nil
	}
}

func (s *lineStream) Next() ([]string, error) {
	for {
		if s.open == nil {
			if len(s.splits) == 0 {
				return nil, io.EOF
			}
			r, err := NewLineReader(s.task.Context(), s.splits[0])
			if err != nil {
				return nil, err
			}
			s.open = r
			s.task.BytesRead += s.splits[0].Length
			s.splits = s.splits[1:]
		}
		lines, err := s.open.Next()
		if err == nil {
			s.task.RowsRead += int64(len(lines))
			return lines, nil
		}
		if err != io.EOF {
			return nil, err
		}
		s.close()
	}
}

type fileSource struct{}

func (fileSource) Open(t *rdd.Task, splits []Split) (rdd.Stream[File], error) {
	return &fileStream{task: t, splits: splits}, nil
}

type fileStream struct {
	task   *rdd.Task
	splits []Split
	row    [1]File
}

func (s *fileStream) Next() ([]File, error) {
	if len(s.splits) == 0 {
		return nil, io.EOF
	}
	f, err := ReadFile(s.task.Context(), s.splits[0])
	if err != nil {
		return nil, err
	}
	s.task.RowsRead++
	s.task.BytesRead += s.splits[0].Length
	s.splits = s.splits[1:]
	s.row[0] = f
	return s.row[:], nil
}

// Save writes a dataset of lines into a directory, one part file a partition (part-00000, with .gz or .zst if compressed), as
// Spark's saveAsTextFile. Nothing shows under its final name before every task is done; the
// file _SUCCESS comes last. See filesys.Output for what happens on failure.
func Save(ctx context.Context, r rdd.RDD[string], uri string, options ...SaveOptions) error {
	var o SaveOptions
	if len(options) > 0 {
		o = options[0]
	}
	return SaveRows(ctx, r, uri, "SaveText", "", Encoder[string](linesEncoder{}), o)
}
