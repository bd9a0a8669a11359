package rdd

import (
	"fmt"
	"strings"
)

// ToDebugString draws the lineage of the dataset as Spark does: one dataset a line with its number of partitions where a stage begins,
// indented behind +- after each shuffle, and in brackets how it is persisted:
//
//	(2) ReduceByKey[3] at main.go:14 []
//	 +-(3) Map[2] at main.go:13 []
//	    |  FlatMap[1] at main.go:12 [MEMORY_ONLY]
//	    |  Parallelize[0] at main.go:11 []
//
// A dataset that is reached a second time is drawn without its parents, and says so.
func (r RDD[T]) ToDebugString() string { return r.node.debugString() }

func (n *Node) debugString() string {
	var b strings.Builder
	drawn := map[*Node]bool{}
	// Lines are drawn from an explicit stack: a lineage may be very deep, though each shuffle in it indents the rest further.
	type item struct {
		node        *Node
		prefix      string
		first, wide bool
		last        bool // of several parents
	}
	stack := []item{{node: n, first: true}}
	for len(stack) > 0 {
		it := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		count := fmt.Sprintf("(%d)", it.node.partitions)
		offset := strings.Repeat(" ", (len(count)-1)/2)
		under := offset + "|" + strings.Repeat(" ", len(count)-len(offset))
		prefix := it.prefix
		switch {
		case it.first:
			b.WriteString(count + " ")
			prefix = under
		case it.wide:
			head := strings.TrimSuffix(strings.TrimRight(it.prefix, " "), "|")
			b.WriteString(head + "+-" + count + " ")
			if it.last {
				prefix = head + "  " + under
			} else {
				prefix = head + "| " + under
			}
		default:
			b.WriteString(it.prefix)
		}
		deps := it.node.Dependencies()
		b.WriteString(it.node.debugLine())
		if drawn[it.node] && len(deps) > 0 {
			b.WriteString(" (its parents are drawn above)")
			deps = nil
		}
		b.WriteByte('\n')
		drawn[it.node] = true
		for i := len(deps) - 1; i >= 0; i-- {
			_, wide := deps[i].(*Shuffle)
			stack = append(stack, item{node: deps[i].On(), prefix: prefix, wide: wide, last: i == len(deps)-1})
		}
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// debugLine is a dataset's line: its name, how it is persisted and whether its lineage was cut.
func (n *Node) debugLine() string {
	level := ""
	if l := n.Level(); l != None {
		level = l.String()
	}
	line := fmt.Sprintf("%v [%s]", n, level)
	n.mu.Lock()
	defer n.mu.Unlock()
	switch c := n.checkpoint; {
	case c == nil:
	case !c.done:
		line += " checkpoint pending"
	case c.local:
		line += " checkpointed locally"
	default:
		line += " checkpointed in " + c.dir
	}
	return line
}
