// Package tree trains decision trees and random forests, for classes and for numbers, and predicts with them.
//
// # Concept
//
// A feature's values become a few bins, once: intervals of equal weight, or the categories themselves. From then on a row is a byte
// a feature. A node's rows are summed up by bin in a histogram of each feature that the node may choose from, and all splits of a
// feature are read off its histogram (Mehta, Agrawal, Rissanen: SLIQ, 1996; Panda, Herbach, Basu, Bayardo: PLANET, 2009; Spark's
// org.apache.spark.ml.tree.impl.RandomForest, whose parameters and behaviour these are). A forest is many trees, each of which sees a
// bootstrap of the rows, and in each node a random few of the features (Breiman: Random Forests, 2001).
//
// # How it is distributed
//
// Data that fits in MaxMemoryInMB is brought together and given to every executor once; each task grows a whole tree on it. Larger data stays in
// its partitions and trees grow level by level: a job sums up the histograms of the open nodes over the partitions, the driver
// chooses the splits, and nodes with few rows are finished by one task each, to which their rows are sent. Tasks keep beside
// their block of rows where each row stands in each tree. That is never part of a result: whoever lacks it walks down from the root.
//
// # Invariants
//
//   - The model is a function of the rows in their order, their partitions, and the settings. Random numbers come from the seed, the tree, and the row's number
//     or the node's path; histograms are merged in the order of the partitions.
//   - Sums of counts are exact. So for classes without weights both ways of growing give the same bits, for any partitions.
//   - Of equally good splits the first counts, by feature, then by bin.
//   - A row of a node goes left in training exactly if its values go left in prediction: thresholds lie strictly between the
//     values of neighbouring bins.
package tree
