package driver

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// progressBar draws the running stages on a terminal, as Spark does: [Stage 3:====>     (12 + 2) / 40]. Stages that end within
// half a second are not shown.
type progressBar struct {
	out   io.Writer
	width func() int

	mu     sync.Mutex
	stages map[int]*stageProgress
	shown  int // characters of the line on the terminal
	done   chan struct{}

	text  string // what the program says of itself
	since time.Time
}

type stageProgress struct {
	id, total, finished, running int
	since                        time.Time
}

const (
	progressDelay    = 500 * time.Millisecond
	progressInterval = 200 * time.Millisecond
)

// startProgress draws on standard error if that is a terminal.
func (c *Context) startProgress() {
	fd := int(os.Stderr.Fd())
	if !c.conf.Bool("spark.ui.showConsoleProgress") || !term.IsTerminal(fd) {
		return
	}
	p := newProgressBar(os.Stderr, func() int {
		w, _, err := term.GetSize(fd)
		if err != nil {
			return 80
		}
		return w
	})
	c.AddListener(p.listen)
	c.progress = p
	c.closers = append(c.closers, p.close)
	go p.draw()
}

// ShowProgress puts a text before the bars of the running stages, such as the iteration of a fit and what it has reached. It stays there until the
// next one; the empty text takes it away. Without a progress bar it does nothing.
func (c *Context) ShowProgress(text string) {
	if c.progress != nil {
		c.progress.say(text, time.Now())
	}
}

func (p *progressBar) say(text string, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.text == "" {
		p.since = now
	}
	if p.text = text; text == "" && len(p.stages) == 0 {
		p.clear()
	}
}

func newProgressBar(out io.Writer, width func() int) *progressBar {
	return &progressBar{out: out, width: width, stages: map[int]*stageProgress{}, done: make(chan struct{})}
}

func (p *progressBar) listen(e Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := e.(type) {
	case StageSubmitted:
		p.stages[e.Stage] = &stageProgress{id: e.Stage, total: e.Tasks, since: e.Time}
	case StageCompleted:
		delete(p.stages, e.Stage)
		if len(p.stages) == 0 && p.text == "" {
			p.clear()
		}
	case TaskStarted:
		if s := p.stages[e.Stage]; s != nil {
			s.running++
		}
	case TaskEnded:
		if s := p.stages[e.Stage]; s != nil {
			s.running--
			if e.Accepted {
				s.finished++
			}
		}
	}
}

func (p *progressBar) draw() {
	tick := time.NewTicker(progressInterval)
	defer tick.Stop()
	for {
		select {
		case <-p.done:
			return
		case now := <-tick.C:
			p.mu.Lock()
			if line := p.line(now); line != "" {
				fmt.Fprintf(p.out, "\r%s%s", line, strings.Repeat(" ", max(0, p.shown-len(line))))
				p.shown = len(line)
			}
			p.mu.Unlock()
		}
	}
}

// line is what to show: the program's text, and every stage that runs for a while with an equal share of what is left of the terminal's width.
func (p *progressBar) line(now time.Time) string {
	room := p.width() - 1
	text := ""
	if p.text != "" && now.Sub(p.since) >= progressDelay {
		text = p.text[:min(len(p.text), max(room, 0))] + " "
	}
	return strings.TrimSuffix(text+p.bars(now, room-len(text)), " ")
}

func (p *progressBar) bars(now time.Time, width int) string {
	var stages []*stageProgress
	for _, s := range p.stages {
		if now.Sub(s.since) >= progressDelay {
			stages = append(stages, s)
		}
	}
	if len(stages) == 0 || width < 0 {
		return ""
	}
	slices.SortFunc(stages, func(a, b *stageProgress) int { return a.id - b.id })
	width /= len(stages)
	var b strings.Builder
	for _, s := range stages {
		head := fmt.Sprintf("[Stage %d:", s.id)
		tail := fmt.Sprintf("(%d + %d) / %d]", s.finished, s.running, s.total)
		room := width - len(head) - len(tail)
		b.WriteString(head)
		if room > 0 {
			full := room * s.finished / max(s.total, 1)
			bar := strings.Repeat("=", full) + strings.Repeat(" ", room-full)
			if full > 0 && full < room {
				bar = bar[:full-1] + ">" + bar[full:]
			}
			b.WriteString(bar)
		}
		b.WriteString(tail)
	}
	return b.String()
}

// clear wipes the line, so that what the program prints next starts on a clean one.
func (p *progressBar) clear() {
	if p.shown > 0 {
		fmt.Fprintf(p.out, "\r%s\r", strings.Repeat(" ", p.shown))
		p.shown = 0
	}
}

func (p *progressBar) close() {
	close(p.done)
	p.mu.Lock()
	p.clear()
	p.mu.Unlock()
}
