package codec

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"
	"unsafe"
)

func keys[K comparable](t *testing.T) *KeyOps[K] {
	t.Helper()
	o, err := KeysOf[K]()
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func hashOf[K comparable](t *testing.T, k K) uint64 {
	t.Helper()
	o := keys[K](t)
	h := o.Hash(k)
	out := make([]uint64, 3)
	o.HashRows([]K{k, k, k}, out)
	type row struct {
		_   byte
		Key K
	}
	field := make([]uint64, 3)
	rows := []row{{Key: k}, {Key: k}, {Key: k}}
	HashField(o, rows, unsafe.Offsetof(rows[0].Key), field)
	for i := range out {
		if out[i] != h || field[i] != h {
			t.Errorf("%v: Hash %x, HashRows %x, HashField %x", k, h, out[i], field[i])
		}
	}
	return h
}

type place struct {
	Name   string
	X, Y   int32
	Height float64
}

// TestGoldenHashes holds the values that decide which partition a row goes to. A change here moves data: it needs a new
// format version, not a new constant.
func TestGoldenHashes(t *testing.T) {
	for _, c := range []struct {
		name      string
		got, want uint64
	}{
		{"empty", hashOf(t, ""), 0x57a48a51e9a8da79},
		{"word", hashOf(t, "spark"), 0x6980e68cd8c33826},
		{"eight", hashOf(t, named("abcdefgh")), 0xd8602946406df749},
		{"twelve", hashOf(t, "abcdefghijkl"), 0x2149debc03016dd5},
		{"long", hashOf(t, strings.Repeat("0123456789", 20)), 0xa3fc8473ff560d33},
		{"40 bytes", hashOf(t, strings.Repeat("wxyz", 10)), 0x4de2bfe13f413dc5},
		{"int", hashOf(t, 42), 0xc6d395aeb84e4935},
		{"int32", hashOf(t, int32(-42)), 0x250e21fe274afbb4},
		{"uint8", hashOf(t, uint8(200)), 0x79c63706a97ec0db},
		{"bool", hashOf(t, true), 0x9a8664849dd9f8ab},
		{"float64", hashOf(t, 1.5), 0xbd24623dc58b4a66},
		{"float32", hashOf(t, float32(1.5)), 0xdf0949c174ce4bef},
		{"zero", hashOf(t, math.Copysign(0, -1)), 0x57a48a51e9a8da79},
		{"NaN", hashOf(t, math.NaN()), 0xfb9a18f241774cc0},
		{"complex", hashOf(t, complex(1, 2)), 0x85407097d9ff6f92},
		{"struct", hashOf(t, place{"home", 3, -4, 5.5}), 0xe151ce8bbf11309a},
		{"array", hashOf(t, [3]string{"a", "b", "c"}), 0xde178b81ffce7a40},
		{"bytes", hashOf(t, [12]uint8{1, 2, 3}), 0x8dc0aefc7a68d8ad},
		{"int pair", hashOf(t, [2]int32{1, 2}), 0x431b920d075643d9},
		{"any", hashOf[any](t, "spark"), 0x450a4b3dfe57279e},
		{"nil", hashOf[any](t, nil), 0x57a48a51e9a8da79},
		{"time", hashOf(t, time.Unix(1_700_000_000, 5).UTC()), 0xe6cb59af3971f8c7},
		{"empty struct", hashOf(t, struct{}{}), 0},
	} {
		if c.got != c.want {
			t.Errorf("%s: hash 0x%016x, want 0x%016x", c.name, c.got, c.want)
		}
	}
}

func TestStringHashesAgreeAtAllLengthsAndAddresses(t *testing.T) {
	// Texts at every offset around a page's end, where loadShort takes the other way.
	page := make([]byte, 3*(pageMask+1))
	for i := range page {
		page[i] = byte(i * 7)
	}
	text := []byte("the quick brown fox jumps over the lazy dog, again and again and again and again")
	edge := pageMask + 1 - int(uintptr(unsafe.Pointer(&page[0]))&pageMask)
	seen := map[uint64]int{}
	for n := range len(text) + 1 {
		want := HashBytes(text[:n])
		if m, ok := seen[want]; ok {
			t.Errorf("lengths %d and %d hash alike", m, n)
		}
		seen[want] = n
		for off := edge - 20; off <= edge+4; off++ {
			copy(page[off:], text[:n])
			s := unsafe.String(&page[off], n)
			if got := HashString(s); got != want {
				t.Fatalf("%d bytes %d before the end of a page: %x, want %x", n, edge-off, got, want)
			}
			if got, want := OrderOf[string]().Prefix(s), OrderOf[string]().Prefix(string(text[:n])); got != want {
				t.Fatalf("prefix of %d bytes at a page's end: %x, want %x", n, got, want)
			}
		}
	}
}

func TestFloatKeys(t *testing.T) {
	o := keys[float64](t)
	zero, nan, other := math.Copysign(0, -1), math.NaN(), math.Float64frombits(0xfff8000000000777)
	for _, c := range [][2]float64{{0, zero}, {nan, other}} {
		if o.Hash(c[0]) != o.Hash(c[1]) || !o.Equal(c[0], c[1]) {
			t.Errorf("%v and %v are not one key", c[0], c[1])
		}
	}
	if o.Equal(1, 2) || o.Equal(nan, 1) {
		t.Error("different floats are equal")
	}
	p := keys[struct {
		A [2]float32
		C complex128
	}](t)
	type k = struct {
		A [2]float32
		C complex128
	}
	n32 := float32(math.NaN())
	a, b := k{[2]float32{n32, 0}, complex(nan, 0)}, k{[2]float32{n32, float32(zero)}, complex(other, zero)}
	if p.Hash(a) != p.Hash(b) || !p.Equal(a, b) {
		t.Error("NaN and -0 inside a struct")
	}
}

func TestPaddedAndBlankKeys(t *testing.T) {
	type padded struct {
		A int8
		_ int32
		B int64
	}
	o := keys[padded](t)
	dirty := make([]padded, 1)
	raw := bytesOf(dirty)
	for i := range raw {
		raw[i] = 0xee
	}
	dirty[0].A, dirty[0].B = 1, 2
	out := make([]uint64, 1)
	o.HashRows(dirty, out)
	if out[0] != o.Hash(padded{A: 1, B: 2}) {
		t.Error("padding takes part in the hash")
	}
}

func TestInterfaceKeys(t *testing.T) {
	o := keys[any](t)
	for _, k := range []any{nil, 1, int64(1), "1", 1.0, true, [2]int{1, 2}, square{1}, math.NaN()} {
		if !o.Equal(k, k) || o.Hash(k) != o.Hash(k) {
			t.Errorf("%v is not equal to itself", k)
		}
	}
	if o.Equal(1, int64(1)) || o.Hash(1) == o.Hash(int64(1)) {
		t.Error("1 and int64(1) are one key")
	}
	if s := any([]int{1}); o.Equal(s, s) || o.Hash(s) != o.Hash(s) {
		t.Error("a slice in an interface equals nothing")
	}
}

func TestMarshalledKeys(t *testing.T) {
	at := time.Now()
	o := keys[time.Time](t)
	again := roundTrip(t, []time.Time{at})[0]
	if o.Hash(at) != o.Hash(again) || !o.Equal(at, again) {
		t.Error("a time is no longer the same key after a shuffle")
	}
	if a := keys[netip.Addr](t); a.Equal(netip.MustParseAddr("::1"), netip.MustParseAddr("::2")) {
		t.Error("two addresses are one key")
	}
}

func TestKeysThatAreRefused(t *testing.T) {
	_, err := KeysOf[*int]()
	_, err2 := KeysOf[struct{ P struct{ Next *tree } }]()
	_, err3 := KeysOf[[2]chan int]()
	for i, want := range []string{"*int", "P.Next", "chan int"} {
		if err := []error{err, err2, err3}[i]; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}

func TestHashingDoesNotAllocate(t *testing.T) {
	if !wideLoads {
		t.Skip("sanitizers allocate")
	}
	o, p := keys[place](t), keys[string](t)
	k := place{"n", 1, 2, 3}
	if n := testing.AllocsPerRun(100, func() { sink += o.Hash(k) + p.Hash(k.Name) }); n != 0 {
		t.Errorf("Hash: %v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() { o.Equal(k, k) }); n != 0 {
		t.Errorf("Equal: %v allocations", n)
	}
}

// TestHashSpread takes low, middle and high bits and a modulus of the hashes of regular keys, and holds the fullest of 1024
// buckets to what random numbers give (mean 64, so 64 + 6·8).
func TestHashSpread(t *testing.T) {
	const n, buckets = 1 << 16, 1 << 10
	sets := map[string]func(i int) uint64{
		"sequence":    func(i int) uint64 { return HashUint64(uint64(i)) },
		"negative":    func(i int) uint64 { return HashUint64(uint64(-i)) },
		"times 1024":  func(i int) uint64 { return HashUint64(uint64(i) << 10) },
		"times 2^48":  func(i int) uint64 { return HashUint64(uint64(i) << 48) },
		"times 10^6":  func(i int) uint64 { return HashUint64(uint64(i) * 1_000_000) },
		"floats":      func(i int) uint64 { return hashFloat64(float64(i)) },
		"float32":     func(i int) uint64 { return hashFloat32(float32(i) / 2) },
		"decimal":     func(i int) uint64 { return HashString(fmt.Sprint(i)) },
		"padded":      func(i int) uint64 { return HashString(fmt.Sprintf("user-%012d", i)) },
		"long":        func(i int) uint64 { return HashString(fmt.Sprintf("%s%08d%s", strings.Repeat("p", 60), i, "tail")) },
		"two bytes":   func(i int) uint64 { return HashString(string([]byte{byte(i), byte(i >> 8)})) },
		"pair (i, j)": func(i int) uint64 { return combine(combine(2, HashUint64(uint64(i&255))), HashUint64(uint64(i>>8))) },
	}
	for name, hash := range sets {
		for part, bits := range map[string]func(uint64) uint64{
			"low":    func(h uint64) uint64 { return h % buckets },
			"middle": func(h uint64) uint64 { return h >> 27 % buckets },
			"high":   func(h uint64) uint64 { return h >> 54 },
			"mod":    func(h uint64) uint64 { return h % 1009 },
		} {
			count := make([]int, buckets)
			for i := range n {
				count[bits(hash(i))]++
			}
			if fullest := slices.Max(count); fullest > 64+6*8 {
				t.Errorf("%s, %s bits: %d keys in one bucket of mean 64", name, part, fullest)
			}
		}
	}
}

func checkOrder[K cmp.Ordered](t *testing.T, sample []K) {
	t.Helper()
	o := OrderOf[K]()
	out := make([]uint64, len(sample))
	o.Prefixes(sample, out)
	type row struct {
		_   byte
		Key K
	}
	rows := make([]row, len(sample))
	for i, k := range sample {
		rows[i].Key = k
	}
	field := make([]uint64, len(sample))
	PrefixField(o, rows, unsafe.Offsetof(rows[0].Key), field)
	for i, a := range sample {
		if out[i] != o.Prefix(a) || field[i] != out[i] {
			t.Fatalf("%v: Prefix %x, Prefixes %x, PrefixField %x", a, o.Prefix(a), out[i], field[i])
		}
		for j, b := range sample {
			want, got := cmp.Compare(a, b), cmp.Compare(out[i], out[j])
			if got != want && (o.Exact() || got != 0) {
				t.Errorf("%T %v and %v: compare as %d, their prefixes as %d", a, a, b, want, got)
			}
		}
	}
	if len(sample) > 0 {
		sorted := slices.Clone(sample)
		slices.Sort(sorted)
		sort.SliceStable(sample, func(i, j int) bool { return o.Prefix(sample[i]) < o.Prefix(sample[j]) })
		if o.Exact() && fmt.Sprint(sorted) != fmt.Sprint(sample) && !strings.Contains(fmt.Sprint(sample), "-0") {
			t.Errorf("sorted by prefix: %v", sample)
		}
	}
}

func TestOrder(t *testing.T) {
	checkOrder(t, []int{math.MinInt64, -1, 0, 1, math.MaxInt64})
	checkOrder(t, []int8{-128, -1, 0, 127})
	checkOrder(t, []int16{-300, 0, 300})
	checkOrder(t, []int32{math.MinInt32, -5, 0, 7})
	checkOrder(t, []uint64{0, 1, math.MaxUint64})
	checkOrder(t, []uint8{0, 200})
	checkOrder(t, []uint16{0, 60_000})
	checkOrder(t, []uint32{0, math.MaxUint32})
	checkOrder(t, []uintptr{0, 5})
	checkOrder(t, []float64{math.NaN(), math.Inf(-1), -1e300, -5e-324, math.Copysign(0, -1), 0, 5e-324, 1, math.Inf(1), math.Float64frombits(0xfff8000000000001)})
	checkOrder(t, []float32{float32(math.NaN()), float32(math.Inf(-1)), -1.5, 0, 1e-45, 3, float32(math.Inf(1))})
	checkOrder(t, []celsius{-1, 0, 30})
	checkOrder(t, []string{"", "\x00", "a", "a\x00", "ab", "abcdefg", "abcdefgh", "abcdefghi", "b", "\xff", "ÿ"})
	r := rand.New(rand.NewPCG(3, 4))
	var words []named
	for range 200 {
		b := make([]byte, r.IntN(12))
		for i := range b {
			b[i] = "\x00ab\xff"[r.IntN(4)]
		}
		words = append(words, named(b))
	}
	checkOrder(t, words)
}

// Texts with equal words, and equal tails where they need them, are equal texts.
func TestTextWords(t *testing.T) {
	type row struct {
		N   int32
		Key string
	}
	var rows []row
	for n := range 300 {
		base := strings.Repeat("a", n)
		rows = append(rows, row{0, base})
		for i := range min(n, 20) {
			rows = append(rows, row{0, base[:i] + "\x00" + base[i+1:]}, row{0, base[:i] + "\xff" + base[i+1:]})
		}
	}
	ops := keys[string](t)
	hashes, words := make([]uint64, len(rows)), make([]uint64, len(rows))
	HashTexts(ops, rows, unsafe.Offsetof(rows[0].Key), hashes, words)
	type word struct{ word, tail uint64 }
	seen := map[word]string{}
	for i, r := range rows {
		if hashes[i] != HashString(r.Key) || words[i] != TextWord(r.Key) || ops.TextOf(r.Key) != r.Key {
			t.Fatalf("%q: hash %x, word %x", r.Key, hashes[i], words[i])
		}
		if (words[i] <= ShortText) != (len(r.Key) <= 7) || (words[i] <= MiddleText) != (len(r.Key) <= 15) {
			t.Fatalf("%q: word %x", r.Key, words[i])
		}
		w := word{word: words[i]}
		if len(r.Key) > 15 {
			continue
		}
		if len(r.Key) > 7 {
			w.tail = TextTail(r.Key)
		}
		if s, ok := seen[w]; ok && s != r.Key {
			t.Fatalf("%q and %q are both %x", s, r.Key, w)
		}
		seen[w] = r.Key
	}
	if !ops.Text() || keys[int64](t).Text() {
		t.Error("Text")
	}
}
