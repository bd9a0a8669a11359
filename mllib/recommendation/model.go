package recommendation

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/spark-go/spark-go/mllib/linalg"
)

// Model is a trained recommender: plain data, usable without any engine.
type Model[U, I ID] struct {
	Rank        int
	UserIDs     []U       // ascending
	UserFactors []float32 // Rank numbers a user
	ItemIDs     []I       // ascending
	ItemFactors []float32

	users map[U]int
	items map[I]int
}

// index sorts users and items by id, so that the model does not show how they were distributed, and makes them findable.
func (m *Model[U, I]) index() error {
	if m.Rank < 1 || len(m.UserFactors) != m.Rank*len(m.UserIDs) || len(m.ItemFactors) != m.Rank*len(m.ItemIDs) {
		return fmt.Errorf("recommendation model: %d and %d numbers for %d users and %d items of rank %d", len(m.UserFactors), len(m.ItemFactors), len(m.UserIDs), len(m.ItemIDs), m.Rank)
	}
	m.UserIDs, m.UserFactors, m.users = sorted(m.UserIDs, m.UserFactors, m.Rank)
	m.ItemIDs, m.ItemFactors, m.items = sorted(m.ItemIDs, m.ItemFactors, m.Rank)
	return nil
}

func sorted[R ID](ids []R, data []float32, rank int) ([]R, []float32, map[R]int) {
	order := make([]int, len(ids))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(ids[a], ids[b]) })
	newIDs, newData, at := make([]R, len(ids)), make([]float32, len(data)), make(map[R]int, len(ids))
	for to, from := range order {
		newIDs[to] = ids[from]
		copy(newData[to*rank:(to+1)*rank], data[from*rank:(from+1)*rank])
		at[ids[from]] = to
	}
	return newIDs, newData, at
}

// Predict estimates the rating; ok is false, and the estimate NaN, if the model has not seen the user or the item.
func (m *Model[U, I]) Predict(user U, item I) (rating float64, ok bool) {
	u, uok := m.users[user]
	i, iok := m.items[item]
	if !uok || !iok {
		return math.NaN(), false
	}
	return m.score(u, i), true
}

func (m *Model[U, I]) score(u, i int) float64 {
	return linalg.Dot(m.UserFactors[u*m.Rank:(u+1)*m.Rank], m.ItemFactors[i*m.Rank:(i+1)*m.Rank])
}

// Scored is an item and its estimated rating.
type Scored[I ID] struct {
	Item   I
	Rating float64
}

// Recommend returns the n items with the highest estimates for a user, those in except left out, ties by id. It is empty for a
// user that the model has not seen.
func (m *Model[U, I]) Recommend(user U, n int, except map[I]bool) []Scored[I] {
	u, ok := m.users[user]
	if !ok || n <= 0 {
		return nil
	}
	order := func(a, b Scored[I]) int { return cmp.Or(cmp.Compare(b.Rating, a.Rating), cmp.Compare(a.Item, b.Item)) }
	// A few more than n are gathered before they are sorted and the rest dropped: most items are compared with the n-th best and no more.
	var best []Scored[I]
	most := min(n, len(m.ItemIDs))
	full := false
	cut := func() {
		slices.SortFunc(best, order)
		if len(best) >= most {
			best, full = best[:most], true
		}
	}
	for i, id := range m.ItemIDs {
		s := Scored[I]{id, m.score(u, i)}
		if full && order(s, best[most-1]) >= 0 || except[id] {
			continue
		}
		if best = append(best, s); len(best) == 2*most+64 {
			cut()
		}
	}
	cut()
	return best
}

// The file of a model: the magic line, a line of JSON, the ids of users and items, each after its length in four bytes if it is a
// string and eight bytes otherwise, the vectors as float32, and the SHA-256 of all that. Little endian.
const modelMagic = "spark-go als model 1\n"

type modelHeader struct {
	Rank  int    `json:"rank"`
	Users int    `json:"users"`
	Items int    `json:"items"`
	User  string `json:"user"` // type of the ids
	Item  string `json:"item"`
}

// Write writes the model to w: the same bytes for equal models.
func (m *Model[U, I]) Write(w io.Writer) error {
	sum := sha256.New()
	b := bufio.NewWriter(io.MultiWriter(w, sum))
	head, err := json.Marshal(modelHeader{m.Rank, len(m.UserIDs), len(m.ItemIDs), idType[U](), idType[I]()})
	if err != nil {
		return fmt.Errorf("write model: %w", err)
	}
	fmt.Fprintf(b, "%s%s\n", modelMagic, head)
	writeIDs(b, m.UserIDs)
	writeIDs(b, m.ItemIDs)
	for _, fs := range [][]float32{m.UserFactors, m.ItemFactors} {
		for _, f := range fs {
			var n [4]byte
			binary.LittleEndian.PutUint32(n[:], math.Float32bits(f))
			_, _ = b.Write(n[:]) // Flush tells
		}
	}
	if err := b.Flush(); err != nil {
		return fmt.Errorf("write model: %w", err)
	}
	if _, err := w.Write(sum.Sum(nil)); err != nil {
		return fmt.Errorf("write model: %w", err)
	}
	return nil
}

// SHA256 is the digest of what Write writes, in hexadecimal.
func (m *Model[U, I]) SHA256() string {
	h := sha256.New()
	_ = m.Write(h) // a hash cannot fail
	return hex.EncodeToString(h.Sum(nil))
}

// ReadModel reads a model that Write wrote. A damaged file and one with ids of other types are refused.
func ReadModel[U, I ID](r io.Reader) (*Model[U, I], error) {
	m, err := readModel[U, I](r)
	if err != nil {
		return nil, fmt.Errorf("read model: %w", err)
	}
	return m, nil
}

var errTruncated = errors.New("the file is cut short")

func readModel[U, I ID](r io.Reader) (*Model[U, I], error) {
	all, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	body, ok := bytes.CutPrefix(all, []byte(modelMagic))
	if !ok {
		return nil, errors.New("it is not a model of alternating least squares, or one of a newer version")
	}
	if len(body) < sha256.Size {
		return nil, errTruncated
	}
	end := len(all) - sha256.Size
	if sum := sha256.Sum256(all[:end]); !bytes.Equal(sum[:], all[end:]) {
		return nil, errors.New("the checksum does not match: the file is damaged")
	}
	line, rest, ok := bytes.Cut(body[:len(body)-sha256.Size], []byte("\n"))
	var head modelHeader
	if !ok || json.Unmarshal(line, &head) != nil || head.Rank < 1 || head.Users < 0 || head.Items < 0 {
		return nil, errors.New("its header is damaged")
	}
	if head.User != idType[U]() || head.Item != idType[I]() {
		return nil, fmt.Errorf("its users and items are named by %s and %s, not by %s and %s", head.User, head.Item, idType[U](), idType[I]())
	}
	m := &Model[U, I]{Rank: head.Rank}
	if m.UserIDs, rest, err = readIDs[U](rest, head.Users); err != nil {
		return nil, err
	}
	if m.ItemIDs, rest, err = readIDs[I](rest, head.Items); err != nil {
		return nil, err
	}
	if len(rest)%4 != 0 || len(rest)/4/head.Rank != head.Users+head.Items {
		return nil, errTruncated
	}
	data := make([]float32, len(rest)/4)
	for i := range data {
		data[i] = math.Float32frombits(binary.LittleEndian.Uint32(rest[4*i:]))
	}
	m.UserFactors, m.ItemFactors = data[:head.Users*head.Rank], data[head.Users*head.Rank:]
	return m, m.index()
}

// idType is how ids are named in a file. Integers of both widths are stored alike.
func idType[R ID]() string {
	if _, ok := any(*new(R)).(string); ok {
		return "string"
	}
	return "int"
}

func writeIDs[R ID](b *bufio.Writer, ids []R) {
	var n [8]byte
	for _, id := range ids {
		switch v := any(id).(type) {
		case string:
			binary.LittleEndian.PutUint32(n[:4], uint32(len(v)))
			_, _ = b.Write(n[:4]) // Flush tells
			_, _ = b.WriteString(v)
		case int32:
			binary.LittleEndian.PutUint64(n[:], uint64(v))
			_, _ = b.Write(n[:])
		case int64:
			binary.LittleEndian.PutUint64(n[:], uint64(v))
			_, _ = b.Write(n[:])
		}
	}
}

func readIDs[R ID](b []byte, count int) ([]R, []byte, error) {
	if count > len(b)/4 {
		return nil, nil, errTruncated
	}
	ids := make([]R, count)
	for i := range ids {
		size := 8
		if _, isText := any(ids[i]).(string); isText {
			size = 4
		}
		if len(b) < size {
			return nil, nil, errTruncated
		}
		switch p := any(&ids[i]).(type) {
		case *string:
			n := int(binary.LittleEndian.Uint32(b))
			if n > len(b)-4 {
				return nil, nil, errTruncated
			}
			*p = string(b[4 : 4+n])
			size += n
		case *int32:
			v := int64(binary.LittleEndian.Uint64(b))
			if v != int64(int32(v)) {
				return nil, nil, fmt.Errorf("id %d does not fit in 32 bits: read the model with int64 ids", v)
			}
			*p = int32(v)
		case *int64:
			*p = int64(binary.LittleEndian.Uint64(b))
		}
		b = b[size:]
	}
	return ids, b, nil
}
