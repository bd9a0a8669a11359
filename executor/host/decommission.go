package host

import (
	"errors"
	"fmt"

	"github.com/spark-go/spark-go/executor/protocol"
	"github.com/spark-go/spark-go/shuffle"
)

// decommission asks the driver to see to it that this host can go. One that has not registered yet asks when it has.
func (h *hostProcess) decommission(reason string) {
	h.mu.Lock()
	h.asked = reason
	h.mu.Unlock()
	if c := h.logConn.Load(); c != nil {
		_ = c.Send(&protocol.Decommission{Reason: reason}) // without a driver this process ends
	}
}

// copyOutput lays down a copy of a map output of another host: a link where both have the same disk, else what its block server sends, held against
// the checksums.
func (h *hostProcess) copyOutput(m *protocol.Copy) error {
	if m.Output == nil {
		return errors.New("cached blocks are copied by executors")
	}
	out := *m.Output
	id := shuffle.WriterID{Shuffle: m.Shuffle, Map: out.Map, Attempt: out.Attempt}
	if out.Location.Host == h.spec.Disk && out.Location.Dir != "" {
		_, err := shuffle.LinkOutput(out.Location.Dir, id, h.outputs().Paths()[0], id, func(string, string) error { return errors.ErrUnsupported })
		if err == nil {
			return nil
		}
	}
	data, err := h.client.Fetch(h.ctx, m.Shuffle, out, 0, len(out.Sizes))
	if err != nil {
		return err
	}
	defer data.Close()
	if err := shuffle.StoreOutput(h.outputs().Paths()[0], id, out.Sizes, data); err != nil {
		return fmt.Errorf("copy from %s: %w", out.Location.Addr, err)
	}
	return nil
}
