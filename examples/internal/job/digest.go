package job

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"

	"github.com/spark-go/spark-go/io/textio"
	"github.com/spark-go/spark-go/rdd"
)

// partDigest is the digest of one partition.
type partDigest struct {
	Partition int
	Lines     int64
	Sum       [sha256.Size]byte
}

// Save writes the lines into a directory, unless the URI is empty, and returns how many they are and the digest that names them: the
// SHA-256 of the SHA-256s of the partitions, in order, where the bytes of a partition are its lines, each ended by \n, as in its file.
// So it is computed in the tasks that the lines pass through anyway, however many there are. Of files it is
//
//	sha256sum part-* | cut -c1-64 | xxd -r -p | sha256sum
func Save(ctx context.Context, lines rdd.RDD[string], uri string) (count int64, digest string, err error) {
	parts, err := rdd.NewCollectionAccumulator[partDigest](lines.Session(), "digests")
	if err != nil {
		return 0, "", err
	}
	op := digestOp{Parent: lines, Parts: parts}
	digested := rdd.New(lines.Session(), "Digest", rdd.Op[string](op), lines.NumPartitions(), nil, rdd.Narrow{Node: lines.Node()})
	if uri != "" {
		err = textio.Save(ctx, digested, uri)
	} else {
		_, err = digested.Count(ctx)
	}
	if err != nil {
		return 0, "", err
	}
	sums := make([]partDigest, lines.NumPartitions())
	for _, p := range parts.Value() {
		sums[p.Partition] = p
	}
	all := sha256.New()
	for _, p := range sums {
		count += p.Lines
		all.Write(p.Sum[:])
	}
	return count, hex.EncodeToString(all.Sum(nil)), nil
}

// digestOp passes lines on and adds the digest of each partition once its last line has passed.
type digestOp struct {
	Parent rdd.RDD[string]
	Parts  rdd.CollectionAccumulator[partDigest]
}

// Compute implements rdd.Op.
func (o digestOp) Compute(t *rdd.Task, p int) (rdd.Stream[string], error) {
	in, err := o.Parent.Compute(t, p)
	if err != nil {
		return nil, err
	}
	return &digestStream{in: in, to: o.Parts, part: partDigest{Partition: p}, sum: sha256.New()}, nil
}

type digestStream struct {
	in   rdd.Stream[string]
	to   rdd.CollectionAccumulator[partDigest]
	part partDigest
	sum  hash.Hash
	buf  []byte
}

// Next implements rdd.Stream.
func (s *digestStream) Next() ([]string, error) {
	lines, err := s.in.Next()
	if err == io.EOF {
		s.sum.Sum(s.part.Sum[:0])
		s.to.Add(s.part)
	}
	if err != nil {
		return nil, err
	}
	s.buf = s.buf[:0]
	for _, l := range lines {
		s.buf = append(append(s.buf, l...), '\n')
	}
	s.sum.Write(s.buf)
	s.part.Lines += int64(len(lines))
	return lines, nil
}
