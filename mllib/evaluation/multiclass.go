package evaluation

// Multiclass measures predicted classes by how often which was taken for which. It is plain data; its zero value has seen nothing.
type Multiclass struct {
	Classes   int
	Confusion []float64 // Classes rows of true classes, Classes columns of predicted ones: weights
	LossSum   float64   // Σ w·(-log of the probability of the true class), where AddLoss was called
}

// NewMulticlass starts with no rows.
func NewMulticlass(classes int) *Multiclass {
	return &Multiclass{Classes: classes, Confusion: make([]float64, classes*classes)}
}

// Add counts a row of a class and the class that was predicted, from 0.
func (m *Multiclass) Add(class, predicted int, weight float64) {
	m.Confusion[class*m.Classes+predicted] += weight
}

// Merge adds what o has seen of the same classes.
func (m *Multiclass) Merge(o *Multiclass) {
	for i, w := range o.Confusion {
		m.Confusion[i] += w
	}
	m.LossSum += o.LossSum
}

// of is the weight of the rows of class k, of those predicted as k, of those of both, and of all.
func (m *Multiclass) of(k int) (class, predicted, right, all float64) {
	for i := range m.Classes {
		class += m.Confusion[k*m.Classes+i]
		predicted += m.Confusion[i*m.Classes+k]
	}
	for _, w := range m.Confusion {
		all += w
	}
	return class, predicted, m.Confusion[k*m.Classes+k], all
}

// Weight is the weight of all rows.
func (m *Multiclass) Weight() float64 {
	all := 0.0
	for _, w := range m.Confusion {
		all += w
	}
	return all
}

// Accuracy is the share of rows whose class was predicted.
func (m *Multiclass) Accuracy() float64 {
	right := 0.0
	for k := range m.Classes {
		right += m.Confusion[k*m.Classes+k]
	}
	return right / m.Weight()
}

// HammingLoss is the share of rows whose class was not predicted.
func (m *Multiclass) HammingLoss() float64 { return 1 - m.Accuracy() }

// LogLoss is the mean of -log of the probability that the true class was given.
func (m *Multiclass) LogLoss() float64 { return m.LossSum / m.Weight() }

// Precision is the share of the rows predicted as class k that are of it; 0 if there are none.
func (m *Multiclass) Precision(k int) float64 {
	_, predicted, right, _ := m.of(k)
	return ratio(right, predicted)
}

// Recall is the share of the rows of class k that are predicted as it: its true positive rate; 0 if there are none.
func (m *Multiclass) Recall(k int) float64 {
	class, _, right, _ := m.of(k)
	return ratio(right, class)
}

// FalsePositiveRate is the share of the rows of other classes that are predicted as class k.
func (m *Multiclass) FalsePositiveRate(k int) float64 {
	class, predicted, right, all := m.of(k)
	return ratio(predicted-right, all-class)
}

// F is the F-measure of class k.
func (m *Multiclass) F(k int, beta float64) float64 {
	return Threshold{Precision: m.Precision(k), Recall: m.Recall(k)}.F(beta)
}

func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

// Weighted is the mean of a measure over the classes, weighted by their rows, as Spark's weightedPrecision and the like.
func (m *Multiclass) Weighted(measure func(k int) float64) float64 {
	sum, total := 0.0, 0.0
	for k := range m.Classes {
		class, _, _, all := m.of(k)
		sum += class * measure(k)
		total = all
	}
	return sum / total
}

// WeightedF1 is Spark's default measure of multiclass models.
func (m *Multiclass) WeightedF1() float64 {
	return m.Weighted(func(k int) float64 { return m.F(k, 1) })
}
