// Package fixes has what -fix rewrites, and what it leaves alone.
package fixes

import (
	"context"
	"net/url"

	clock "time"

	"github.com/spark-go/spark-go/rdd"
)

type Rating struct {
	User  int
	Value float32
}

func one(r rdd.RDD[Rating], min float32) rdd.RDD[Rating] {
	return rdd.Filter(r, func(x Rating) bool { return x.Value > min }) // want `captures min`
}

func two(r rdd.RDD[Rating], min, max float32) rdd.RDD[Rating] {
	return rdd.Filter(r, func(x Rating) bool { return x.Value > min && x.Value < max }) // want `captures min .* and max`
}

func comments(r rdd.RDD[Rating], weights []float64, names map[string]int) rdd.RDD[float64] {
	// First the weights.

	// Then each rating counts by its user.
	scored := rdd.Map(r, func(x Rating) float64 { // want `captures weights .* and names`
		// the weight of the user
		w := weights[x.User]           /* never zero */
		return w * float64(names["x"]) // scaled
	})
	return scored
}

func binary(ctx context.Context, r rdd.RDD[float64], p float64) (float64, error) {
	return rdd.Reduce(ctx, r, func(a, b float64) float64 { return p*a + b }) // want `captures p`
}

func imported(r rdd.RDD[int], start clock.Time, base *url.URL) rdd.RDD[string] {
	r = rdd.Map(r, func(x int) int { return x + start.Year() })    // want `captures start \(time.Time\)`
	return rdd.Map(r, func(x int) string { return base.String() }) // want `captures base`
}

func unnamed(r rdd.RDD[int], n int) rdd.RDD[int] {
	return rdd.Map(r, func(int) int { return n }) // want `captures n`
}

func taken(r rdd.RDD[int], a, b int) rdd.RDD[int] {
	return rdd.Map(r, func(env int) int { return a*env + b }) // want `captures a .* and b`
}

func multiline(r rdd.RDD[int], a, b int) rdd.RDD[int] {
	return rdd.Map(
		r,
		func( // want `captures a .* and b`
			x int,
		) int { // the line
			return a*x + b
		},
	)
}

func chain(r rdd.RDD[int], a int, s string) rdd.RDD[int] {
	if a > 0 {
		return rdd.Map(rdd.Filter(r, func(x int) bool { return x > a }), // want `captures a`
			func(x int) int { return x + len(s) }) // want `captures s`
	}
	switch {
	case len(s) > 3:
		r = rdd.Map(r, func(x int) int { return a*x + len(s) }) // want `captures a .* and s`
	}
	return r
}

func twice(r rdd.RDD[int], a int, s string) rdd.RDD[int] {
	r = rdd.Map(r, func(x int) int { return a*x + len(s) })  // want `captures a .* and s`
	return rdd.Map(r, func(x int) int { return a + len(s) }) // want `captures a .* and s`
}

type trainer struct {
	Rate  float64
	w     []float64
	Total int
}

func (t *trainer) fields(r rdd.RDD[float64]) rdd.RDD[float64] {
	r = rdd.Map(r, func(x float64) float64 { return x * t.Rate * t.Rate })  // want `captures t`
	r = rdd.Map(r, func(w float64) float64 { return w * t.w[0] })           // want `captures t`
	return rdd.Map(r, func(x float64) float64 { return x*t.Rate + t.w[0] }) // want `captures t`
}

func (t trainer) predict(x float64) float64 { return x * t.Rate }

func (t *trainer) score(x float64) float64 { return x * t.Rate }

func methods(r rdd.RDD[float64], t trainer, p *trainer) rdd.RDD[float64] {
	r = rdd.Map(r, t.predict)  // want `method value t.predict`
	r = rdd.Map(r, t.score)    // want `method value t.score`
	return rdd.Map(r, p.score) // want `method value p.score`
}

func variable(r rdd.RDD[int], n int) rdd.RDD[int] {
	add := func(x int) int { return x + n } // want `captures n`
	return rdd.Map(r, add)
}

func changing(r rdd.RDD[int], n int) rdd.RDD[int] {
	add := func(x int) int { return x + n } // want `captures n`
	n = 5
	return rdd.Map(r, add)
}

func changingField(r rdd.RDD[int], t trainer) rdd.RDD[int] {
	add := func(x int) int { return x + t.Total } // want `captures t`
	t.Total = 5
	return rdd.Map(r, add)
}

func effects(ctx context.Context, r rdd.RDD[int], prefix string) error {
	return rdd.Foreach(ctx, r, func(x int) { println(prefix, x) }) // want `captures prefix`
}

func insideLiteral(r rdd.RDD[int], a int, s string) func() rdd.RDD[int] {
	return func() rdd.RDD[int] {
		return rdd.Map(r, func(x int) int { return a*x + len(s) }) // want `captures a .* and s`
	}
}

func maker(r rdd.RDD[int]) rdd.RDD[int] { return rdd.Filter(r, atLeast(3)) }

func atLeast(min int) func(int) bool {
	return func(x int) bool { return x >= min } // want `captures min`
}

func assigned(r rdd.RDD[int], n int) rdd.RDD[int] {
	return rdd.Map(r, func(x int) int { n++; return x }) // want `what it assigns to n`
}

func addressed(r rdd.RDD[int], n int) rdd.RDD[int] {
	return rdd.Map(r, func(x int) int { return *(&n) }) // want `the address of n is taken`
}

func untravelled(r rdd.RDD[int], c chan int) rdd.RDD[int] {
	return rdd.Map(r, func(x int) int { return len(c) }) // want `c is a channel`
}

func shadowed(r rdd.RDD[int], n int) rdd.RDD[int] {
	rdd := 3
	_ = rdd
	return r.Filter(func(x int) bool { return x > n }) // want `captures n`
}

func localType(r rdd.RDD[int]) rdd.RDD[int] {
	type point struct{ x, y int }
	p := point{1, 2}
	return rdd.Map(r, func(x int) int { return x + p.x + p.y }) // want `captures p`
}

func unnameable(r rdd.RDD[int]) rdd.RDD[int] {
	type point struct{ x int }
	p := point{1}
	{
		type point struct{}
		_ = point{}
		return rdd.Map(r, func(x int) int { return x + p.x }) // want `captures p`
	}
}
