package driver

import (
	"slices"
	"testing"

	"github.com/spark-go/spark-go/driver/cluster"
	"github.com/spark-go/spark-go/executor/protocol"
)

// The second copy goes to another host where there is one, elsewhere than where it failed if possible, and always to the same executor of the same cluster.
func TestReplicaTaker(t *testing.T) {
	l := &loop{members: map[string]*member{}}
	for _, e := range [][2]string{{"0.1", "a"}, {"1.1", "a"}, {"2.1", "b"}, {"3.1", "b"}, {"4.1", "c"}} {
		l.members[e[0]] = &member{ExecutorAdded: cluster.ExecutorAdded{Executor: e[0], Host: e[1]}}
	}
	l.members["4.1"].leaves = &departure{}
	for _, c := range []struct {
		partition int
		holder    string
		failed    []string
		want      string
	}{
		{0, "0.1", nil, "2.1"},
		{1, "0.1", nil, "3.1"},
		{2, "0.1", nil, "2.1"},
		{1, "2.1", nil, "1.1"},
		{0, "0.1", []string{"2.1"}, "3.1"},
		{0, "0.1", []string{"2.1", "3.1"}, "1.1"},        // another executor of the host, rather than one that failed
		{1, "0.1", []string{"1.1", "2.1", "3.1"}, "3.1"}, // once more
	} {
		id := protocol.BlockID{Dataset: 6, Partition: c.partition}
		if got := l.replicaTaker(id, []*member{l.members[c.holder]}, c.failed); got == nil || got.Executor != c.want {
			t.Errorf("block %d of %s, failed at %v: %v, want %s", c.partition, c.holder, c.failed, got, c.want)
		}
	}
	if got := l.replicaTaker(protocol.BlockID{}, slices.Clone(l.takers()), nil); got != nil {
		t.Errorf("%s gets a copy of what it has", got.Executor)
	}
}
