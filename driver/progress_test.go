package driver

import (
	"strings"
	"testing"
	"time"
)

func TestProgressLine(t *testing.T) {
	var out strings.Builder
	p := newProgressBar(&out, func() int { return 51 })
	start := time.Now()
	p.listen(StageSubmitted{Stage: 3, Tasks: 40, Time: start})
	for range 14 {
		p.listen(TaskStarted{Stage: 3})
	}
	for range 12 {
		p.listen(TaskEnded{Stage: 3, Accepted: true})
	}
	p.listen(TaskEnded{Stage: 9, Accepted: true}) // of a stage that has ended
	if line := p.line(start.Add(400 * time.Millisecond)); line != "" {
		t.Errorf("too early: %q", line)
	}
	want := "[Stage 3:=======>                   (12 + 2) / 40]"
	if line := p.line(start.Add(time.Second)); line != want {
		t.Errorf("got  %q\nwant %q", line, want)
	}
	p.listen(StageSubmitted{Stage: 4, Tasks: 2, Time: start})
	if line := p.line(start.Add(time.Second)); len(line) > 50 || !strings.Contains(line, "[Stage 4:") {
		t.Errorf("two stages: %q", line)
	}
	p.shown = 10
	p.listen(StageCompleted{Stage: 3})
	p.listen(StageCompleted{Stage: 4})
	if out.String() != "\r          \r" || p.line(start.Add(time.Minute)) != "" {
		t.Errorf("afterwards: %q", out.String())
	}
}

func TestProgressText(t *testing.T) {
	var out strings.Builder
	p := newProgressBar(&out, func() int { return 61 })
	start := time.Now()
	p.say("fit 1/9", start)
	if line := p.line(start.Add(100 * time.Millisecond)); line != "" {
		t.Errorf("too early: %q", line)
	}
	p.say("fit 2/9", start.Add(400*time.Millisecond))
	if line := p.line(start.Add(time.Second)); line != "fit 2/9" {
		t.Errorf("alone: %q", line)
	}
	p.listen(StageSubmitted{Stage: 3, Tasks: 40, Time: start})
	if line := p.line(start.Add(time.Second)); len(line) > 60 || !strings.HasPrefix(line, "fit 2/9 [Stage 3:") || !strings.HasSuffix(line, "(0 + 0) / 40]") {
		t.Errorf("with a stage: %q", line)
	}
	p.shown = 10
	p.listen(StageCompleted{Stage: 3})
	if out.Len() != 0 {
		t.Errorf("the text was wiped with the stage: %q", out.String())
	}
	p.say("", start)
	if out.String() != "\r          \r" || p.line(start.Add(time.Minute)) != "" {
		t.Errorf("afterwards: %q", out.String())
	}
}
