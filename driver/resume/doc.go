// Package resume keeps the map outputs of an application where they survive it, so that the same program, submitted again after it
// died, takes them for its own and runs only what was not finished.
//
// # Concept
//
// A [Store] is a folder, DIR/<application>.resume, of a driver that was told to keep (spark.checkpoint.dir):
//
//	lock                              held by the driver that uses the folder
//	journal                           what is kept, one line a fact
//	stages/<identity>/shuffle-0/...   map outputs, as package shuffle writes them
//	fits/...                          what trainers go on from
//
// A map output is known by the identity of its shuffle (rdd.Identity: a digest of the operations as they travel, of the inputs with
// their sizes and times, and of broadcast values) and its map partition. Numbers of datasets, shuffles and tasks, which differ from run
// to run when a program continues somewhere in its middle, are not part of it. Identities mean something only inside one executable, and
// functions may read flags and settings; so the journal begins with the executable's digest, the program's arguments and its settings, and
// a folder of another program is emptied, with the difference in the log.
//
// Spark's reliable checkpoints (ReliableCheckpointRDD) keep datasets where the program says so, and a resubmitted program has to read them by
// name. Systems that keep tasks' results by a hash of what made them (Bazel, Flyte; Nextflow's -resume) need nothing in the program. This is
// the second way, for shuffles; rdd.Checkpoint takes it too when an application keeps.
//
// Keeping an output costs a hard link and an index of a few hundred bytes where the folder is on the file system of spark.local.dir, and a
// copy in the background elsewhere. Taking it over costs a link and an index again; the data is not read.
//
// # Invariants
//
//   - What a driver does not find whole it computes: an output counts once it is there with its index and the journal says so, in this
//     order. A line of the journal has a checksum; a torn or damaged one is no fact. Damage in data is found by the checksums of its blocks when
//     it is read, as in any map output; then the output is forgotten and computed again.
//   - One driver uses a folder: a second one is told so, and neither keeps nor takes over.
//   - Nothing here can fail a job. What cannot be kept is computed by the next run.
//   - The folder goes when the application ends well. What the program can reach no more stays until then, up to a limit.
package resume
