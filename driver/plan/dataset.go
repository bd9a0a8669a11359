package plan

import "github.com/spark-go/spark-go/rdd"

// dataset is an rdd dataset as a Node.
type dataset struct{ n *rdd.Node }

// Of is the dataset n as the planner sees it.
func Of(n *rdd.Node) Node { return dataset{n} }

// Dataset is the rdd dataset that n stands for; nil if n was not made by Of.
func Dataset(n Node) *rdd.Node {
	d, ok := n.(dataset)
	if !ok {
		return nil
	}
	return d.n
}

func (d dataset) ID() int         { return d.n.ID() }
func (d dataset) Partitions() int { return d.n.Partitions() }
func (d dataset) String() string  { return d.n.String() }

// Barrier says that the dataset's tasks wait for each other.
func (d dataset) Barrier() bool { return d.n.Barrier() }

// Edges lists the dependencies of the dataset.
func (d dataset) Edges() []Edge {
	deps := d.n.Dependencies()
	edges := make([]Edge, len(deps))
	for i, dep := range deps {
		edges[i] = Edge{Parent: dataset{dep.On()}}
		if s, ok := dep.(*rdd.Shuffle); ok {
			edges[i].Wide, edges[i].Shuffle, edges[i].Dep = true, s.ID, s
		}
	}
	return edges
}
