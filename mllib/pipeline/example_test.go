package pipeline_test

import (
	"context"
	"fmt"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/mllib/classification"
	"github.com/spark-go/spark-go/mllib/pipeline"
	"github.com/spark-go/spark-go/rdd"
)

type visit struct {
	City    string
	Age     *float64 // nil: not known
	Minutes int32
	Bought  string
}

func age(x float64) *float64 { return &x }

func visits(sc rdd.Session) rdd.RDD[visit] {
	return rdd.Parallelize(sc, []visit{
		{"Oslo", age(31), 5, "no"},
		{"Oslo", nil, 12, "no"},
		{"Bergen", age(45), 33, "yes"},
		{"Oslo", age(23), 41, "yes"},
		{"Bergen", age(52), 7, "no"},
		{"Molde", age(38), 29, "yes"},
		{"Bergen", nil, 3, "no"},
	}, 2)
}

func Example() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	ctx := context.Background()

	schema, err := pipeline.SchemaOf[visit]()
	if err != nil {
		fmt.Println(err)
		return
	}
	p, err := pipeline.New(schema,
		&pipeline.StringIndexer{Inputs: []string{"City"}, HandleInvalid: pipeline.Keep},
		&pipeline.OneHotEncoder{Inputs: []string{"City"}},
		&pipeline.Imputer{Inputs: []string{"Age"}, Strategy: pipeline.Median},
		&pipeline.VectorAssembler{Inputs: []string{"City", "Age", "Minutes"}},
		&pipeline.LogisticRegression{Label: "Bought", Settings: classification.LogisticRegression{RegParam: 0.1}},
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	model, err := p.Fit(ctx, pipeline.Rows(visits(sc)))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%q %q\n", model.FeatureNames, model.Classes)

	// One file; loading and scoring need no engine.
	if err := model.Save(ctx, "mem://models/visits"); err != nil {
		fmt.Println(err)
		return
	}
	loaded, err := pipeline.Load(ctx, "mem://models/visits")
	if err != nil {
		fmt.Println(err)
		return
	}
	scorer, err := pipeline.NewScorer[visit](loaded)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, v := range []visit{{City: "Oslo", Minutes: 38}, {City: "Voss", Age: age(20), Minutes: 2}} {
		x, err := scorer.Predict(v)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s %.3f\n", x.Class, x.Probabilities)
	}
	// Output:
	// ["City=Bergen" "City=Oslo" "City=Molde" "Age" "Minutes"] ["no" "yes"]
	// yes [0.284 0.716]
	// no [0.800 0.200]
}
