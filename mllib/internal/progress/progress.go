// Package progress tells how a long fit is doing: each iteration with its objective and the seconds since the start, as a log record and, where the
// session has one, on the line of the progress bar.
package progress

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/spark-go/spark-go/rdd"
)

// Bar is a session that shows what its program is doing beside the bars of the running stages. The empty text shows nothing.
type Bar interface{ ShowProgress(text string) }

// Reporter reports one fit. It is for one goroutine.
type Reporter struct {
	name, measure string
	of            int
	bar           Bar
	started       time.Time
	seconds       float64
}

// Start begins a fit: of what ("logistic regression"), of how many iterations at most (0 if that is not known), and what its measure is called
// ("objective", "rmse", "cost").
func Start(s rdd.Session, name string, iterations int, measure string) *Reporter {
	r := &Reporter{name: name, measure: measure, of: iterations, started: time.Now()}
	r.bar, _ = s.(Bar)
	return r
}

// Iteration reports the value of the measure after iteration i; 0 is the start.
func (r *Reporter) Iteration(i int, value float64) {
	r.seconds = time.Since(r.started).Seconds()
	slog.Info(r.name, "iteration", i, r.measure, value, "seconds", r.seconds)
	if r.bar != nil {
		of := ""
		if r.of > 0 {
			of = fmt.Sprintf("/%d", r.of)
		}
		r.bar.ShowProgress(fmt.Sprintf("%s %d%s %s %.6g, %.1f s", r.name, i, of, r.measure, value, r.seconds))
	}
}

// Done ends the fit, however it ended.
func (r *Reporter) Done() {
	if r.bar != nil {
		r.bar.ShowProgress("")
	}
}
