package job

import (
	"context"

	"github.com/spark-go/spark-go/mllib/modelfile"
)

// Inputs are the rows that an example trains on and those that it tests on: parts of one input, or two of them.
type Inputs struct {
	Input       string  // all rows; empty where Train is given
	Fraction    float64 // of the rows of Input, to test on
	Train, Test string
	// TrainAlone allows Train without Test, which is then the same.
	TrainAlone bool
}

// Inputs declares --input, --test-fraction, --train and --test. The default input lies in the repository. What the flags say of the rows is what they are called:
// "ratings as Parquet".
func (j *Job) Inputs(in *Inputs, value, rows string) {
	j.Input(&in.Input, "input", value, rows+", of which some rows are held out for the test: a `URI`, directory, glob or comma list")
	j.Float(&in.Fraction, "test-fraction", 0.2, 0, 0.99, "hold out this `share` of the input")
	j.String(&in.Train, "train", "", "train on this `URI` instead")
	test := "and test on this `URI`"
	if in.TrainAlone {
		test += "; default: on what it is trained on"
	}
	j.String(&in.Test, "test", "", test)
	j.checks = append(j.checks, func() {
		switch {
		case in.Test != "" && in.Train == "" && in.TrainAlone:
			j.Usage("--test goes with --train: give both, or --input")
		case (in.Test == "") != (in.Train == "") && !in.TrainAlone:
			j.Usage("--train and --test go together: give both, or --input")
		case in.Train != "" && (j.Given("input") || j.Given("test-fraction")):
			j.Usage("--input and --test-fraction do not go with --train: give one or the other")
		case in.Train != "":
			in.Input = ""
		}
	})
}

// Source is what there is to train on: Train, or the whole Input.
func (in *Inputs) Source() string {
	if in.Train != "" {
		return in.Train
	}
	return in.Input
}

// All lists the inputs.
func (in *Inputs) All() []string {
	switch {
	case in.Train == "":
		return []string{in.Input}
	case in.Test == "":
		return []string{in.Train}
	}
	return []string{in.Train, in.Test}
}

// Model declares --save, the file to write the model to. Start finds out whether that can be done.
func (j *Job) Model(uri *string) {
	j.String(uri, "save", "", "write the model to the file `URI`")
	j.save = uri
}

// canSave tells, before the hours of training, whether the model can be saved.
func (j *Job) canSave() error {
	if j.save == nil || *j.save == "" {
		return nil
	}
	return modelfile.CanSave(context.Background(), *j.save)
}
