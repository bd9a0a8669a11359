package pipeline_test

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/mllib/pipeline"
	"github.com/spark-go/spark-go/rdd"
)

// TestTables counts the rows of parts of tables.
func TestTables(t *testing.T) {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	ctx := context.Background()
	count := func(table pipeline.Table) int64 {
		t.Helper()
		n, err := table.Count(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	penguins, err := pipeline.ReadParquet(ctx, sc, "../../examples/testdata/penguins.parquet", 3)
	if err != nil {
		t.Fatal(err)
	}
	if n := count(penguins); n != 344 {
		t.Errorf("%d rows", n)
	}
	if n := count(penguins.DropMissing("sex", "body_mass_g")); n != 333 {
		t.Errorf("%d rows with a sex", n)
	}
	train, test := penguins.DropMissing("Sex").Split(0.7, 1)
	a, b := count(train), count(test)
	if a+b != 333 || a < 210 || a > 260 {
		t.Errorf("%d rows to train on, %d to test on", a, b)
	}
	if other, _ := penguins.DropMissing("sex").Split(0.7, 2); count(other) == a {
		t.Error("another seed gives as many rows")
	}
	rows := people(50)
	missing := math.NaN()
	rows[1].Weight = &missing
	if n := count(pipeline.Rows(rdd.Parallelize(sc, rows, 2)).DropMissing("Weight")); n != 43 {
		t.Errorf("%d rows with a weight", n)
	}
	// Where the rows lie decides about their parts, and nothing else.
	p, err := pipeline.New(penguins.Schema(), &pipeline.VectorAssembler{Inputs: []string{"flipper_length_mm"}, HandleInvalid: pipeline.Skip}, &pipeline.LogisticRegression{Label: "sex"})
	if err != nil {
		t.Fatal(err)
	}
	m, err := p.Fit(ctx, train.Coalesce(2))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		table pipeline.Table
		want  int
	}{{penguins, 3}, {penguins.Coalesce(2), 2}, {penguins.Coalesce(9), 3}} {
		predictions, err := m.Predict(c.table)
		if err != nil || predictions.NumPartitions() != c.want {
			t.Errorf("%d partitions, want %d, %v", predictions.NumPartitions(), c.want, err)
		}
	}
	for says, table := range map[string]pipeline.Table{
		`there is no column "name": there are species`: penguins.DropMissing("name"),
		"the share to train on is 1":                   func() pipeline.Table { _, test := penguins.Split(1, 0); return test }(),
		"there is no table":                            {},
	} {
		if _, err := table.Count(ctx); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v does not say %q", err, says)
		}
	}
}

func ExampleTable_Split() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	ctx := context.Background()
	penguins, err := pipeline.ReadParquet(ctx, sc, "../../examples/testdata/penguins.parquet")
	if err != nil {
		fmt.Println(err)
		return
	}
	train, test := penguins.DropMissing("sex").Split(0.8, 42)
	p, err := pipeline.New(penguins.Schema(),
		&pipeline.VectorAssembler{Inputs: []string{"bill_depth_mm", "body_mass_g"}},
		&pipeline.LogisticRegression{Label: "sex"},
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	model, err := p.Fit(ctx, train)
	if err != nil {
		fmt.Println(err)
		return
	}
	metrics, err := model.Evaluate(ctx, test)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%.2f %.2f\n", metrics[pipeline.AreaUnderROC], metrics[pipeline.Accuracy])
	// Output: 0.94 0.87
}
