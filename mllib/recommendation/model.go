package recommendation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/spark-go/spark-go/mllib/linalg"
	"github.com/spark-go/spark-go/mllib/modelfile"
)

// Model is a trained recommender: plain data, usable without any engine and by any number of goroutines.
type Model[U, I ID] struct {
	Rank        int
	UserIDs     []U       // ascending
	UserFactors []float32 // Rank numbers a user
	ItemIDs     []I       // ascending
	ItemFactors []float32

	// Settings are those of the training with defaults filled in, less the ones that say how it is done and do not change the model.
	// ColdStartStrategy and BlockSize may be changed.
	Settings ALS[U, I]
	// History is the loss after each iteration: the sum of squared errors over the ratings, with ImplicitPrefs weighted and over all pairs.
	History []float64
}

// sort orders users and items by id, so that the model does not show how they were distributed.
func (m *Model[U, I]) sort() {
	m.UserIDs, m.UserFactors = sorted(m.UserIDs, m.UserFactors, m.Rank)
	m.ItemIDs, m.ItemFactors = sorted(m.ItemIDs, m.ItemFactors, m.Rank)
}

func sorted[R ID](ids []R, data []float32, rank int) ([]R, []float32) {
	order := make([]int32, len(ids))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int { return cmp.Compare(ids[a], ids[b]) })
	newIDs, newData := make([]R, len(ids)), make([]float32, len(data))
	for to, from := range order {
		newIDs[to] = ids[from]
		copy(newData[to*rank:(to+1)*rank], data[int(from)*rank:])
	}
	return newIDs, newData
}

// find is the place of an id among ascending ones. Whole numbers without gaps, the usual ids, are found at once.
func find[R ID](ids []R, id R) (int, bool) {
	if len(ids) == 0 {
		return 0, false
	}
	var guess uint64
	switch v := any(id).(type) {
	case int32:
		guess = uint64(v) - seedOf(ids[0])
	case int64:
		guess = uint64(v) - seedOf(ids[0])
	default:
		return slices.BinarySearch(ids, id)
	}
	if guess < uint64(len(ids)) && ids[guess] == id {
		return int(guess), true
	}
	return slices.BinarySearch(ids, id)
}

// Predict estimates the rating; ok is false, and the estimate NaN, if the model has not seen the user or the item. It allocates nothing.
func (m *Model[U, I]) Predict(user U, item I) (rating float64, ok bool) {
	u, uok := find(m.UserIDs, user)
	i, iok := find(m.ItemIDs, item)
	if !uok || !iok {
		return math.NaN(), false
	}
	return linalg.Dot(m.UserFactors[u*m.Rank:(u+1)*m.Rank], m.ItemFactors[i*m.Rank:(i+1)*m.Rank]), true
}

// turned is the model of the items' opinions of users. It shares the vectors.
func (m *Model[U, I]) turned() *Model[I, U] {
	t := &Model[I, U]{Rank: m.Rank, UserIDs: m.ItemIDs, UserFactors: m.ItemFactors, ItemIDs: m.UserIDs, ItemFactors: m.UserFactors}
	t.Settings.BlockSize = m.Settings.BlockSize
	return t
}

// check says what is wrong with a model that was put together by hand or read.
func (m *Model[U, I]) check() error {
	switch {
	case m == nil:
		return errors.New("there is no model")
	case m.Rank < 1 || len(m.UserFactors)/m.Rank != len(m.UserIDs) || len(m.UserFactors)%m.Rank != 0 || len(m.ItemFactors)/m.Rank != len(m.ItemIDs) || len(m.ItemFactors)%m.Rank != 0:
		return fmt.Errorf("it has %d and %d numbers for %d users and %d items of rank %d", len(m.UserFactors), len(m.ItemFactors), len(m.UserIDs), len(m.ItemIDs), m.Rank)
	case len(m.UserIDs) > math.MaxInt32 || len(m.ItemIDs) > math.MaxInt32:
		return fmt.Errorf("it has %d users and %d items: 2,147,483,647 are the limit", len(m.UserIDs), len(m.ItemIDs))
	case !ascending(m.UserIDs) || !ascending(m.ItemIDs):
		return errors.New("its users or items are not in ascending order")
	}
	return nil
}

func ascending[R ID](ids []R) bool {
	for i := 1; i < len(ids); i++ {
		if ids[i] <= ids[i-1] {
			return false
		}
	}
	return true
}

const (
	modelKind    = "recommendation.ALS"
	modelVersion = 1
)

// settings is how the settings of a training are written.
type settings struct {
	Rank              int     `json:"rank"`
	MaxIter           int     `json:"maxIter"`
	RegParam          float64 `json:"regParam"`
	NumUserBlocks     int     `json:"numUserBlocks"`
	NumItemBlocks     int     `json:"numItemBlocks"`
	ImplicitPrefs     bool    `json:"implicitPrefs"`
	Alpha             float64 `json:"alpha"`
	Nonnegative       bool    `json:"nonnegative"`
	ColdStartStrategy string  `json:"coldStartStrategy"`
	BlockSize         int     `json:"blockSize"`
}

func (m *Model[U, I]) file() *modelfile.File {
	f := modelfile.New(modelKind, modelVersion)
	s := m.Settings
	f.Set("settings", settings{m.Rank, s.MaxIter, s.RegParam, s.NumUserBlocks, s.NumItemBlocks, s.ImplicitPrefs, s.Alpha, s.Nonnegative, s.ColdStartStrategy, s.BlockSize})
	f.Set("seed", s.Seed)
	modelfile.SetArray(f, "users", m.UserIDs)
	modelfile.SetArray(f, "userFactors", m.UserFactors)
	modelfile.SetArray(f, "items", m.ItemIDs)
	modelfile.SetArray(f, "itemFactors", m.ItemFactors)
	modelfile.SetArray(f, "history", m.History)
	return f
}

// Save writes the model to a file of any file system; see package modelfile. Equal models give equal bytes.
func (m *Model[U, I]) Save(ctx context.Context, uri string) error {
	if err := m.check(); err != nil {
		return fmt.Errorf("save model %s: %w", uri, err)
	}
	return m.file().Save(ctx, uri)
}

// SHA256 is the digest of the model, in hexadecimal: equal for equal models.
func (m *Model[U, I]) SHA256() (string, error) { return m.file().Digest() }

// Load reads a model that Save wrote. It needs no engine. Files that are damaged, newer than this program or of other ids are refused;
// ids of 32 bits may be read as int64, and the other way round if they fit.
func Load[U, I ID](ctx context.Context, uri string) (*Model[U, I], error) {
	return modelfile.LoadAs(ctx, uri, modelKind, modelVersion, fromFile[U, I])
}

func fromFile[U, I ID](f *modelfile.File) (*Model[U, I], error) {
	var s settings
	var seed int64
	m := &Model[U, I]{}
	if err := errors.Join(f.Get("settings", &s), f.Get("seed", &seed)); err != nil {
		return nil, err
	}
	var errs [5]error
	m.UserIDs, errs[0] = idsOf[U](f, "users")
	m.ItemIDs, errs[1] = idsOf[I](f, "items")
	m.UserFactors, errs[2] = modelfile.GetArray[float32](f, "userFactors")
	m.ItemFactors, errs[3] = modelfile.GetArray[float32](f, "itemFactors")
	m.History, errs[4] = modelfile.GetArray[float64](f, "history")
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	m.Rank = s.Rank
	m.Settings = ALS[U, I]{
		Rank: s.Rank, MaxIter: s.MaxIter, RegParam: s.RegParam, NumUserBlocks: s.NumUserBlocks, NumItemBlocks: s.NumItemBlocks,
		ImplicitPrefs: s.ImplicitPrefs, Alpha: s.Alpha, Nonnegative: s.Nonnegative, Seed: seed,
		ColdStartStrategy: s.ColdStartStrategy, BlockSize: s.BlockSize,
	}
	return m, m.check()
}

// idsOf reads ids of either width.
func idsOf[R ID](f *modelfile.File, name string) ([]R, error) {
	ids, err := modelfile.GetArray[R](f, name)
	if err == nil {
		return ids, nil
	}
	switch p := any(&ids).(type) {
	case *[]int64:
		if narrow, other := modelfile.GetArray[int32](f, name); other == nil {
			for _, v := range narrow {
				*p = append(*p, int64(v))
			}
			return ids, nil
		}
	case *[]int32:
		if wide, other := modelfile.GetArray[int64](f, name); other == nil {
			for _, v := range wide {
				if v != int64(int32(v)) {
					return nil, fmt.Errorf("id %d does not fit in 32 bits: load the model with int64 ids", v)
				}
				*p = append(*p, int32(v))
			}
			return ids, nil
		}
	}
	return nil, err
}
