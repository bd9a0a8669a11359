package filesys

import (
	"fmt"
	"strconv"
	"strings"
)

// Defaults of [SplitOptions], which are those of Spark's spark.files.* keys.
const (
	DefaultMaxPartitionBytes = 128 << 20
	DefaultOpenCostBytes     = 4 << 20
	// DefaultMinPartitions is how many tasks an input is divided into where its
	// size allows splits of at least OpenCostBytes.
	DefaultMinPartitions = 32
)

// SplitOptions say how files are divided among tasks. The division depends on
// these options and on the files' sizes, never on the number of cores or
// executors, because the order in which floating-point sums are added follows
// the partitions, and results must be the same bits on any cluster. (Spark
// divides by the cores at hand instead.)
type SplitOptions struct {
	// MaxPartitionBytes is the most bytes a task should read, default 128 MiB.
	MaxPartitionBytes int64
	// OpenCostBytes is what opening one more file is held to cost, in bytes that could be read
	// meanwhile, when small files are packed together; default 4 MiB.
	OpenCostBytes int64
	// MinPartitions asks for at least so many tasks, as far as the input can be
	// cut: 10 MB in 4 tasks are cut every 2.5 MB. The default 0 asks for 32
	// tasks but cuts nothing smaller than OpenCostBytes.
	MinPartitions int
}

func (o SplitOptions) withDefaults() SplitOptions {
	if o.MaxPartitionBytes <= 0 {
		o.MaxPartitionBytes = DefaultMaxPartitionBytes
	}
	if o.OpenCostBytes <= 0 {
		o.OpenCostBytes = DefaultOpenCostBytes
	}
	return o
}

// Target is the size in bytes to which an input of so many bytes in so many
// files is cut. The cost of opening counts as bytes.
func (o SplitOptions) Target(total int64, files int) int64 {
	o = o.withDefaults()
	if o.MinPartitions > 0 {
		n := int64(o.MinPartitions)
		return max(1, min(o.MaxPartitionBytes, (total+n-1)/n))
	}
	total += int64(files) * o.OpenCostBytes
	return min(o.MaxPartitionBytes, max(o.OpenCostBytes, total/DefaultMinPartitions))
}

// Cut divides one file of size bytes into pieces of about target bytes: the
// offsets at which they begin. The last piece may be up to a tenth larger,
// so that no task is left with a crumb.
func Cut(size, target int64) []int64 {
	var offsets []int64
	offset := int64(0)
	for ; size-offset > target+target/10; offset += target {
		offsets = append(offsets, offset)
	}
	if offset < size {
		offsets = append(offsets, offset)
	}
	return offsets
}

// Piece is a part of a file that one task reads whole.
type Piece struct {
	File  int // any number that tells files apart
	Bytes int64
}

// Pack groups consecutive pieces into tasks: the index after the last piece of each
// task. A piece joins the current task if the task's bytes, with the open cost
// of each of its files but the first, stay within target (or a tenth more); a larger piece is a task of
// its own. The first file is free because a task opens one anyway: counted, it would fill the target
// of a small input, and every piece would be a task. Pieces keep their order.
func (o SplitOptions) Pack(pieces []Piece, target int64) []int {
	o = o.withDefaults()
	open := o.OpenCostBytes
	if o.MinPartitions > 0 {
		open = 0 // the number of tasks is decided, only bytes divide the files among them
	}
	var ends []int
	var filled int64
	for i, p := range pieces {
		cost := p.Bytes
		if i > 0 && p.File != pieces[i-1].File {
			cost += open
		}
		if i > 0 && filled+cost > target+target/10 {
			ends = append(ends, i)
			filled, cost = 0, p.Bytes
		}
		filled += cost
	}
	if len(pieces) > 0 {
		ends = append(ends, len(pieces))
	}
	return ends
}

// SplitSettings makes SplitOptions of the configuration's spark.files.maxPartitionBytes and
// spark.files.openCostInBytes, which setting returns ("" for the default).
func SplitSettings(setting func(key string) string, minPartitions int) (SplitOptions, error) {
	o := SplitOptions{MinPartitions: minPartitions}
	for key, field := range map[string]*int64{
		"spark.files.maxPartitionBytes": &o.MaxPartitionBytes,
		"spark.files.openCostInBytes":   &o.OpenCostBytes,
	} {
		text := setting(key)
		if text == "" {
			continue
		}
		n, err := parseSize(text)
		if err != nil {
			return o, fmt.Errorf("read setting %s: %w", key, err)
		}
		*field = max(1, n) // 0 would mean the default
	}
	return o, nil
}

// parseSize reads a number of bytes with one of Spark's suffixes: 64k, 128m, 128mb, 1g.
func parseSize(text string) (int64, error) {
	digits := strings.TrimRight(strings.ToLower(strings.TrimSpace(text)), "bkmgt")
	n, err := strconv.ParseInt(digits, 10, 64)
	shift, known := map[string]int{"": 0, "b": 0, "k": 10, "m": 20, "g": 30, "t": 40}[strings.TrimSuffix(strings.ToLower(strings.TrimSpace(text))[len(digits):], "b")]
	if err != nil || !known || n < 0 || n > 1<<62>>shift {
		return 0, fmt.Errorf("%q is no size: write bytes, or a number with k, m, g or t, such as 128m", text)
	}
	return n << shift, nil
}
