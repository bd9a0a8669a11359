package tree

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/spark-go/spark-go/io/parquetio"
	"github.com/spark-go/spark-go/rdd"
)

// coverLike makes a table in the manner of the cover type data: 10 numeric features of 32 bins, 44 that are rarely 1, 7 classes.
func coverLike(rows int) (*problem, *table) {
	r := rand.New(rand.NewPCG(1, 1))
	p := &problem{NumClasses: 7, MaxDepth: 10, MinCount: 1, Bag: newBag(1, true), Subset: 8}
	for f := range 54 {
		x := feature{Bins: 32, Common: -1, Bit: -1, Thresholds: make([]float64, 31)}
		if f >= 10 {
			x = feature{Bins: 2, Common: 0, Bit: f - 10, Thresholds: make([]float64, 1)}
		}
		p.Features = append(p.Features, x)
		p.Usable = append(p.Usable, int32(f))
	}
	t := newTable(p.Features, rows, false, false)
	t.Rows = rows
	for range rows {
		one := 10 + min(r.IntN(44), r.IntN(44))
		class := 0
		for f := range p.Features {
			b := 0
			if f < 10 {
				b = r.IntN(32)
				class += b * (f % 3)
			} else if f == one {
				b = 1
			}
			t.Bins[f].Narrow = append(t.Bins[f].Narrow, uint8(b))
		}
		t.Classes = append(t.Classes, uint16((class/40+one/20+r.IntN(2))%7))
	}
	t.pack(p.Features)
	return p, &t
}

// BenchmarkTree grows one tree of depth 10 on 500,000 rows.
func BenchmarkTree(b *testing.B) {
	const rows = 500_000
	p, t := coverLike(rows)
	b.ReportAllocs()
	seed := uint64(0)
	for b.Loop() {
		seed++
		if _, err := newGrower(context.Background(), p, t).tree(seed); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*rows/b.Elapsed().Seconds(), "rows/s")
}

// BenchmarkForest trains 20 trees of depth 10, in both ways of growing, on the Parquet directory that SPARK_GO_FOREST names: a column "label", all others features.
func BenchmarkForest(b *testing.B) {
	dir := os.Getenv("SPARK_GO_FOREST")
	if dir == "" {
		b.Skip("SPARK_GO_FOREST names no Parquet directory")
	}
	ctx := context.Background()
	sc := local(b, "local[2]")
	schema, err := parquetio.ReadSchema(ctx, dir)
	if err != nil {
		b.Fatal(err)
	}
	columns := []parquetio.Select{{Name: "label", Kind: parquetio.Float64}}
	for _, f := range schema.Fields {
		if f.Name != "label" {
			columns = append(columns, parquetio.Select{Name: f.Name, Kind: parquetio.Float64})
		}
	}
	data := rdd.Map(parquetio.ReadColumns(sc, dir, columns), columnsOfBatch).Persist(rdd.MemoryOnly)
	rows, err := rdd.Aggregate(ctx, data, 0, func(n int, c Columns) int { return n + c.Rows }, func(a, b int) int { return a + b })
	if err != nil {
		b.Fatal(err)
	}
	s, err := Settings{MaxDepth: 10}.withDefaults("Benchmark", true)
	if err != nil {
		b.Fatal(err)
	}
	for _, way := range []string{"whole", "levels"} {
		b.Run(way, func(b *testing.B) {
			for b.Loop() {
				t := &training{name: "Benchmark", settings: s, batches: data, log: slog.Default()}
				err := t.prepare(ctx, false)
				if err == nil && way == "whole" {
					_, err = t.growWhole(ctx)
				} else if err == nil {
					_, err = t.growLevels(ctx)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(20*float64(b.N)*float64(rows)/b.Elapsed().Seconds(), "rows·trees/s")
		})
	}
}

func columnsOfBatch(b parquetio.Batch) Columns {
	c := Columns{Rows: b.Rows, Labels: b.Columns[0].Float64s}
	for f := range b.Columns[1:] {
		c.Features = append(c.Features, ColumnOf(b.Columns[f+1].Float64s))
	}
	return c
}

// BenchmarkPredict predicts with 100 trees of depth 10.
func BenchmarkPredict(b *testing.B) {
	p, t := coverLike(50_000)
	var trees []grown
	for n := range 100 {
		g, err := newGrower(context.Background(), p, t).tree(uint64(n))
		if err != nil {
			b.Fatal(err)
		}
		trees = append(trees, g)
	}
	m := &ClassificationModel{Forest: *(&training{problem: *p}).forest(trees)}
	r := rand.New(rand.NewPCG(2, 2))
	rows := make([][]float64, 1000)
	for i := range rows {
		rows[i] = make([]float64, 54)
		for f := range rows[i] {
			rows[i][f] = r.NormFloat64()
		}
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		m.Predict(rows[i%len(rows)])
		i++
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
