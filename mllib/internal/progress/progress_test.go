package progress_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/spark-go/spark-go/mllib/internal/progress"
	"github.com/spark-go/spark-go/rdd"
)

// terminal is a session that has a progress bar.
type terminal struct {
	rdd.Session
	texts []string
}

func (t *terminal) ShowProgress(text string) { t.texts = append(t.texts, text) }

func TestReporter(t *testing.T) {
	var log bytes.Buffer
	was := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	defer slog.SetDefault(was)
	bar := &terminal{}
	r := progress.Start(bar, "k-means", 20, "cost")
	r.Iteration(3, 0.123456789)
	r.Done()
	if len(bar.texts) != 2 || !strings.HasPrefix(bar.texts[0], "k-means 3/20 cost 0.123457, 0.") || bar.texts[1] != "" {
		t.Errorf("the bar showed %q", bar.texts)
	}
	if !strings.Contains(log.String(), "level=INFO msg=k-means iteration=3 cost=0.123456789 seconds=") {
		t.Errorf("the log has %s", log.String())
	}
	progress.Start(nil, "k-means", 0, "cost").Done() // a session without a bar
}
