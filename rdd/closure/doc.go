// Package closure turns lineage nodes, and the functions and values that they
// hold, into bytes and back, between processes that run the same executable.
//
// Go cannot serialise a closure, but inside one executable every type
// descriptor and every function that captures nothing lies at a fixed address
// of the file. The codec therefore writes
//
//   - the concrete type of an interface value as the address of its type
//     descriptor in the executable file, with a hash of its name as a check;
//   - a function that captures nothing as the address of its function value in
//     the file, with a hash of its name and signature as a check;
//   - a function made by [Bind] or [Call] as the type of its binder, then what
//     it was bound to, then its function;
//   - everything else by value, unexported fields included.
//
// Invariants:
//
//   - Driver and executors compare [Digest] before the first message. Bytes
//     from another build are refused, but only as far as the checks go.
//   - A function may be given to an operation if [CheckFunc] says so: it
//     captures nothing, or Bind or Call made it. Method values and literals
//     inside generic functions hold a hidden pointer, so they capture.
//   - Where the program is loaded does not matter: addresses are those of the
//     file, found through a marker string that the running program and its file
//     share. No symbol table is needed, so stripped programs work; section
//     headers are.
//   - Types that exist only at run time (reflect.StructOf and the like) are not
//     in the file and are refused.
//   - The same value gives the same bytes: maps are written in the order of
//     their encoded keys, and no address of the heap reaches the output.
//   - Pointers and maps that occur several times within one Encode are one
//     object again after Decode. Slices that share an array and pointers into
//     the middle of another value are not: they become copies. Cycles are
//     refused.
//   - Decode bounds every allocation by the length of its input, follows no
//     reference that it has not found in the executable's own tables, and
//     returns an error for anything else. What it cannot know is whether a peer
//     is entitled to name a function, or meant it with that signature (a func
//     value does not tell its own): a peer that may send tasks may run any
//     function of the program, which is the point of a task, so peers are
//     authenticated by the transport.
//   - Pointers of the types in [Codec.Handles] are never followed; they travel
//     as identifiers.
//
// Types that implement both encoding.BinaryMarshaler and
// encoding.BinaryUnmarshaler travel through these methods, unless an embedded
// field has them too: then the methods may be promoted and would drop the other
// fields, so the fields are walked. time.Time keeps its location and loses its
// monotonic reading, which means nothing in another process. Values that name a
// resource of one process (files, connections, locks, contexts, channels) are
// refused with the path of the field and a remedy; nil ones travel as nil.
// Pointers to package variables are copied like any other: a sentinel such as
// io.EOF is no longer the same value after its travel.
package closure
