// Package pipeline turns rows with texts and missing values into what a trainer takes, trains, and keeps all of it as one model that scores rows as they come: Spark's org.apache.spark.ml Pipeline for
// typed rows.
//
// # Stages
//
// A [Pipeline] is a list of stages. Each reads columns, by name, and makes others: [StringIndexer] numbers texts, [OneHotEncoder] makes vectors of these numbers, [Imputer] fills in what is missing,
// [StandardScaler] and [MinMaxScaler] scale, [VectorAssembler] joins columns to the vector of features. The last stage is an estimator: [LogisticRegression], [RandomForestClassifier],
// [RandomForestRegressor] or [KMeans] of the packages beside this one. A stage without Outputs replaces the columns that it reads, for the stages after it.
//
// Columns are the fields of a struct ([SchemaOf]) or the columns of Parquet files ([ParquetSchema]). [New] holds the stages to them, before any row is read: a name that does not exist, a text where a
// number is needed, a setting out of its range and a stage whose result nothing uses are errors that name stage, column and remedy.
//
// # Training and scoring
//
// [Pipeline.Fit] trains all stages whose columns are known in one pass over the rows, then those that build on them, then the estimator. A [Table] is where the rows are. The [Model]
// predicts without an engine ([NewScorer]: a row at a time, allocating nothing), for whole datasets ([PredictRows], [Model.Predict]) and is saved to one file.
// Columns that only training reads, the label and the weight, are not needed to score.
//
// # Tuning
//
// [Grid] makes pipelines that differ in some settings; [CrossValidator] and [TrainValidationSplit] measure each on rows that it has not seen, and train the best on all rows. Every stage is trained within its fold: nothing that
// was learnt from the rows of a test reaches the training.
//
// # Invariants
//
//   - A model is a function of the rows, their partitions and order, and the settings: the same bytes for any number of cores and executors and after any loss. Medians are exact.
//   - A row is processed in the same way in training and in scoring, by the same code, one row at a time.
//   - Missing is a nil pointer, a null, and a NaN. A missing value that no stage expects is an error that names row and column, as is a value that a StringIndexer has not seen in training; [Invalid] says what
//     else can be done.
//   - Pipelines and models are immutable and safe for concurrent use; a [Scorer] belongs to one goroutine.
package pipeline
