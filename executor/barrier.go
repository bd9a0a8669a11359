package executor

import (
	"context"
	"errors"

	"github.com/spark-go/spark-go/executor/protocol"
	"github.com/spark-go/spark-go/rdd"
)

// atBarrier is a task that waits for the others of its stage.
type atBarrier struct {
	round  int
	answer chan protocol.BarrierAnswer // has room for one
}

// AnswerBarrier lets tasks that wait go on. Those that have ended or do not wait any more are ignored.
func (r *Runner) AnswerBarrier(m protocol.BarrierAnswer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range m.IDs {
		if b := r.barriers[id]; b != nil && b.round == m.Round {
			delete(r.barriers, id)
			b.answer <- m
		}
	}
}

// Members implements rdd.BarrierRuntime.
func (t *taskRuntime) Members() ([]rdd.BarrierMember, int) {
	gang := t.stage.binary.Gang
	members := make([]rdd.BarrierMember, len(gang))
	for i, m := range gang {
		members[i] = rdd.BarrierMember(m)
	}
	return members, int(t.stage.binary.MaxMessage)
}

// Meet implements rdd.BarrierRuntime.
func (t *taskRuntime) Meet(ctx context.Context, round int, gather bool, message []byte) ([][]byte, error) {
	r := t.runner
	if r.cfg.AskBarrier == nil {
		return nil, errors.New("no driver to meet other tasks at")
	}
	at := &atBarrier{round: round, answer: make(chan protocol.BarrierAnswer, 1)}
	r.mu.Lock()
	r.barriers[t.id] = at
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		delete(r.barriers, t.id)
		r.mu.Unlock()
	}()
	r.cfg.AskBarrier(protocol.BarrierRequest{ID: t.id, Round: round, Gather: gather, Message: message})
	select {
	case m := <-at.answer:
		if m.Error != "" {
			return nil, errors.New(m.Error)
		}
		return m.Messages, nil
	case <-t.ctx.Done():
		return nil, context.Cause(t.ctx)
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
