package csvio

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/spark-go/spark-go/io/filesys"
	"github.com/spark-go/spark-go/io/textio"
)

type numbers struct {
	User, Item int32
	Rating     float32
	Time       int64
	X, Y       float64
}

type mixed struct {
	ID         int64
	Name, City string
	Note       string
	Value      *float64
}

func numbersText(n int) []byte {
	rng := rand.New(rand.NewPCG(1, 2))
	var b bytes.Buffer
	b.WriteString("user,item,rating,time,x,y\n")
	for range n {
		fmt.Fprintf(&b, "%d,%d,%.1f,%d,%.6f,%.3f\n", rng.IntN(200_000), rng.IntN(60_000), float64(rng.IntN(10)+1)/2, 1_000_000_000+rng.IntN(1<<29), rng.Float64(), rng.NormFloat64()*100)
	}
	return b.Bytes()
}

func mixedText(n int) []byte {
	rng := rand.New(rand.NewPCG(1, 2))
	var b bytes.Buffer
	b.WriteString("id,name,city,note,value\n")
	for i := range n {
		fmt.Fprintf(&b, "%d,name %d,\"City, no. %d\",\"said \"\"%d\"\" and\nwent\",", i, rng.IntN(1000), rng.IntN(100), rng.IntN(100))
		if i%3 > 0 {
			fmt.Fprintf(&b, "%.2f", rng.Float64())
		}
		b.WriteByte('\n')
	}
	return b.Bytes()
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// cpu is the processor time of the process, which other processes disturb less than the clock.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func benchRead[T any](b *testing.B, text []byte, rows int) {
	uri := filepath.Join(b.TempDir(), "bench.csv")
	if err := filesys.WriteFile(b.Context(), uri, text); err != nil {
		b.Fatal(err)
	}
	info, err := filesys.Stat(b.Context(), uri)
	if err != nil {
		b.Fatal(err)
	}
	split := textio.PlanFiles([]filesys.Info{info}, filesys.SplitOptions{MinPartitions: 1})[0][0]
	o, err := Options{Header: true}.check()
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	b.ResetTimer()
	begin, before := cpu(b), allocated()
	for range b.N {
		d, err := newDecoder[T](o)
		if err == nil {
			err = d.Open(b.Context(), split)
		}
		n := 0
		for err == nil {
			var batch []T
			batch, err = d.Next()
			n += len(batch)
		}
		d.Close()
		if err != io.EOF || n != rows {
			b.Fatal(n, err)
		}
	}
	b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64(len(text))/float64(rows), "fileB/row")
	b.ReportMetric(float64(allocated()-before)/float64(rows)/float64(b.N), "B/row")
	b.ReportMetric(float64(len(text))*float64(b.N)/1e6/(cpu(b)-begin).Seconds(), "MB/cpu-s")
}

func BenchmarkReadNumbers(b *testing.B) { benchRead[numbers](b, numbersText(500_000), 500_000) }

func BenchmarkReadMixed(b *testing.B) { benchRead[mixed](b, mixedText(300_000), 300_000) }

// BenchmarkEncodingCSV is the standard library at the numbers, records reused and the fields parsed.
func BenchmarkEncodingCSV(b *testing.B) {
	text := numbersText(500_000)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	b.ResetTimer()
	begin := cpu(b)
	for range b.N {
		r := csv.NewReader(bytes.NewReader(text))
		r.ReuseRecord = true
		if _, err := r.Read(); err != nil {
			b.Fatal(err)
		}
		var rows [2048]numbers
		for i := 0; ; i++ {
			rec, err := r.Read()
			if err == io.EOF {
				break
			}
			if err != nil {
				b.Fatal(err)
			}
			row := &rows[i%len(rows)]
			u, _ := strconv.ParseInt(rec[0], 10, 32)
			v, _ := strconv.ParseInt(rec[1], 10, 32)
			f, _ := strconv.ParseFloat(rec[2], 32)
			row.User, row.Item, row.Rating = int32(u), int32(v), float32(f)
			row.Time, _ = strconv.ParseInt(rec[3], 10, 64)
			row.X, _ = strconv.ParseFloat(rec[4], 64)
			row.Y, _ = strconv.ParseFloat(rec[5], 64)
		}
	}
	b.ReportMetric(500_000*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64(len(text))*float64(b.N)/1e6/(cpu(b)-begin).Seconds(), "MB/cpu-s")
}

func BenchmarkWriteNumbers(b *testing.B) {
	o, err := Options{}.check()
	if err != nil {
		b.Fatal(err)
	}
	rows := make([]numbers, 2048)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range rows {
		rows[i] = numbers{rng.Int32N(200_000), rng.Int32N(60_000), float32(rng.IntN(10)) / 2, rng.Int64N(1 << 40), rng.Float64(), rng.NormFloat64()}
	}
	_, add, err := encoder[numbers]{o}.Begin()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	var buf []byte
	for range b.N {
		if buf, err = add(buf[:0], rows); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(len(buf)))
	b.ReportMetric(float64(len(rows))*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
