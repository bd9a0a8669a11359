package cluster

import (
	"fmt"

	"github.com/spark-go/spark-go/executor/protocol"
)

// live returns a registered peer by name.
func (r *Roster) live(name string) (*Peer, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if p := r.peers[name]; p != nil {
		return p, nil
	}
	return nil, fmt.Errorf("executor %s is gone", name)
}

func (r *Roster) setLive(p *Peer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.peers[p.name] = p
}

func (r *Roster) setGone(p *Peer) {
	if p == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.peers[p.name] == p {
		delete(r.peers, p.name)
	}
}

// SendStage sends a stage attempt to an executor.
func (r *Roster) SendStage(executor string, b *protocol.StageBinary) error {
	return r.sendTo(executor, b)
}

func (r *Roster) sendTo(name string, m protocol.Message) error {
	p, err := r.live(name)
	if err != nil {
		return err
	}
	if err := p.conn.Send(m); err != nil {
		return fmt.Errorf("send %T to executor %s: %w", m, name, err)
	}
	return nil
}

// Launch sends tasks to an executor, in one message unless their splits are large.
func (r *Roster) Launch(executor string, tasks []protocol.TaskDesc) error {
	for len(tasks) > 0 {
		n, size := 0, 0
		for n < len(tasks) && (n == 0 || size < maxTasksFrame) {
			size += 64 + len(tasks[n].Splits)
			n++
		}
		if err := r.sendTo(executor, &protocol.LaunchTasks{Tasks: tasks[:n]}); err != nil {
			return err
		}
		tasks = tasks[n:]
	}
	return nil
}

// Kill asks a task to end.
func (r *Roster) Kill(executor string, task int64, reason string) error {
	return r.sendTo(executor, &protocol.KillTask{ID: task, Reason: reason})
}

// Copy asks an executor, or its host, for a copy.
func (r *Roster) Copy(executor string, m *protocol.Copy) error {
	p, err := r.live(executor)
	if err != nil {
		return err
	}
	name := executor
	if m.Output != nil {
		name = p.host.id
	}
	return r.sendTo(name, m)
}

// AnswerCommit tells a task whether it may publish.
func (r *Roster) AnswerCommit(executor string, task int64, allowed bool) error {
	return r.sendTo(executor, &protocol.CommitAnswer{ID: task, Allowed: allowed})
}

// AnswerBarrier lets tasks go on.
func (r *Roster) AnswerBarrier(executor string, m protocol.BarrierAnswer) error {
	return r.sendTo(executor, &m)
}

// Remove sends a clean-up to those whom it concerns: map outputs are the hosts', everything else is the executors'.
func (r *Roster) Remove(m protocol.Remove) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, p := range r.peers {
		if (p.exec == nil) == (m.Kind == protocol.RemoveShuffle) {
			_ = p.conn.Send(&m) // to one that is being lost: nothing is left to clean up
		}
	}
}
