package parquetio

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"reflect"
	"slices"
	"strings"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding"
)

// Decimal is an exact decimal number: a whole number of 128 bits, two's complement, divided by 10 to the power of Scale. That
// holds every number of Spark's and SQL's DECIMAL(38,s). It is plain data of fixed size, without pointers, so that rows with decimals
// shuffle and cache as fast as others. Two decimals of one column are equal if they are equal by ==; those of different scales
// compare by Cmp.
type Decimal struct {
	Hi    int64  // upper half of the unscaled number, with its sign
	Lo    uint64 // lower half
	Scale int32  // digits after the point, 0 or more
}

// NewDecimal is unscaled / 10^scale.
func NewDecimal(unscaled int64, scale int32) Decimal {
	return Decimal{Hi: unscaled >> 63, Lo: uint64(unscaled), Scale: scale}
}

var errDecimalRange = errors.New("a decimal does not fit in 128 bits")

// DecimalOf is unscaled / 10^scale. Numbers of more than 128 bits are an error.
func DecimalOf(unscaled *big.Int, scale int32) (Decimal, error) {
	if unscaled.BitLen() > 127 && (unscaled.Sign() > 0 || new(big.Int).Not(unscaled).BitLen() > 127) {
		return Decimal{}, fmt.Errorf("%w: %v", errDecimalRange, unscaled)
	}
	var b [16]byte
	if unscaled.Sign() >= 0 {
		unscaled.FillBytes(b[:])
	} else { // -x is ^(x-1)
		new(big.Int).Not(unscaled).FillBytes(b[:])
		for i := range b {
			b[i] = ^b[i]
		}
	}
	return Decimal{Hi: int64(binary.BigEndian.Uint64(b[:8])), Lo: binary.BigEndian.Uint64(b[8:]), Scale: scale}, nil
}

// ParseDecimal reads a number such as -12.340, whose scale is that of its digits: 3.
func ParseDecimal(text string) (Decimal, error) {
	digits := text
	scale := 0
	if whole, fraction, ok := strings.Cut(text, "."); ok {
		digits, scale = whole+fraction, len(fraction)
	}
	unscaled, ok := new(big.Int).SetString(digits, 10)
	if !ok || strings.ContainsAny(digits, "_") || scale > maxScale {
		return Decimal{}, fmt.Errorf("parse decimal %q: it is no number such as -12.34", text)
	}
	d, err := DecimalOf(unscaled, int32(scale))
	if err != nil {
		return d, fmt.Errorf("parse decimal %q: %w", text, err)
	}
	return d, nil
}

// Unscaled sets x to the number without its point and returns it.
func (d Decimal) Unscaled(x *big.Int) *big.Int {
	x.SetInt64(d.Hi)
	x.Lsh(x, 64)
	return x.Or(x, new(big.Int).SetUint64(d.Lo))
}

// Float64 is the nearest float64.
func (d Decimal) Float64() float64 {
	var f float64
	if d.Hi == int64(d.Lo)>>63 && d.Scale <= 22 && int64(d.Lo) <= 1<<53 && int64(d.Lo) >= -1<<53 {
		// Both are exact, so the quotient is rounded once.
		f = float64(int64(d.Lo)) / pow10[d.Scale]
		return f
	}
	f, _ = new(big.Rat).SetFrac(d.Unscaled(new(big.Int)), new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(d.Scale)), nil)).Float64()
	return f
}

var pow10 = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22}

// Sign is -1, 0 or 1.
func (d Decimal) Sign() int {
	switch {
	case d.Hi < 0:
		return -1
	case d.Hi == 0 && d.Lo == 0:
		return 0
	}
	return 1
}

// Cmp compares two numbers of any scales: -1, 0 or 1.
func (d Decimal) Cmp(e Decimal) int {
	if d.Scale == e.Scale {
		return cmp.Or(cmp.Compare(d.Hi, e.Hi), cmp.Compare(d.Lo, e.Lo))
	}
	a, b := d.Unscaled(new(big.Int)), e.Unscaled(new(big.Int))
	ten := big.NewInt(10)
	if d.Scale < e.Scale {
		a.Mul(a, ten.Exp(ten, big.NewInt(int64(e.Scale-d.Scale)), nil))
	} else {
		b.Mul(b, ten.Exp(ten, big.NewInt(int64(d.Scale-e.Scale)), nil))
	}
	return a.Cmp(b)
}

// String writes all digits: -12.340.
func (d Decimal) String() string {
	x := d.Unscaled(new(big.Int))
	sign := ""
	if x.Sign() < 0 {
		sign = "-"
		x.Neg(x)
	}
	text := x.String()
	if d.Scale <= 0 {
		return sign + text
	}
	if n := int(d.Scale) + 1 - len(text); n > 0 {
		text = strings.Repeat("0", n) + text
	}
	point := len(text) - int(d.Scale)
	return sign + text[:point] + "." + text[point:]
}

// rescale changes the scale without changing the number.
func (d Decimal) rescale(scale int32) (Decimal, error) {
	if d.Scale == scale {
		return d, nil
	}
	x, ten := d.Unscaled(new(big.Int)), big.NewInt(10)
	if scale > d.Scale {
		return DecimalOf(x.Mul(x, ten.Exp(ten, big.NewInt(int64(scale-d.Scale)), nil)), scale)
	}
	q, r := x.QuoRem(x, ten.Exp(ten, big.NewInt(int64(d.Scale-scale)), nil), new(big.Int))
	if r.Sign() != 0 {
		return Decimal{}, fmt.Errorf("%v has more than %d digits after the point", d, scale)
	}
	return DecimalOf(q, scale)
}

// maxScale bounds the scale of a decimal column.
const maxScale = 1000

// bigEndianDecimal reads a two's complement number of any length.
func bigEndianDecimal(b []byte, scale int32) (Decimal, error) {
	sign := int64(0)
	if len(b) > 0 && b[0]&0x80 != 0 {
		sign = -1
	}
	for len(b) > 16 {
		if b[0] != byte(sign) {
			return Decimal{}, errDecimalRange
		}
		b = b[1:]
	}
	if len(b) == 16 && (b[0]&0x80 != 0) != (sign < 0) {
		return Decimal{}, errDecimalRange
	}
	d := Decimal{Hi: sign, Lo: uint64(sign), Scale: scale}
	for _, v := range b {
		hi := uint64(d.Hi)<<8 | d.Lo>>56
		d.Hi, d.Lo = int64(hi), d.Lo<<8|uint64(v)
	}
	return d, nil
}

// decimals is the converter of a decimal column.
func decimals(n *node) converter[Decimal] {
	scale := int32(n.scale)
	switch n.kind {
	case parquet.Int32:
		return each(int32s, func(v int32) (Decimal, error) { return NewDecimal(int64(v), scale), nil })
	case parquet.Int64:
		return each(int64s, func(v int64) (Decimal, error) { return NewDecimal(v, scale), nil })
	case parquet.ByteArray:
		return func(s []Decimal, v encoding.Values, k int) ([]Decimal, []Decimal, error) {
			data, offsets := v.ByteArray()
			s = s[:0]
			for i := range max(0, min(k, len(offsets)-1)) {
				d, err := bigEndianDecimal(data[offsets[i]:offsets[i+1]], scale)
				if err != nil {
					return s, nil, err
				}
				s = append(s, d)
			}
			return s, s, nil
		}
	}
	return func(s []Decimal, v encoding.Values, k int) ([]Decimal, []Decimal, error) {
		data, size := v.FixedLenByteArray()
		s = slices.Grow(s[:0], k)
		for ; len(data) >= size && len(s) < k; data = data[size:] {
			d, err := bigEndianDecimal(data[:size], scale)
			if err != nil {
				return s, nil, err
			}
			s = append(s, d)
		}
		return s, s, nil
	}
}

// doubles is the converter of a decimal column to the nearest float64s.
func decimalFloats(n *node) converter[float64] {
	exact := decimals(n)
	var table []Decimal
	return func(s []float64, v encoding.Values, k int) ([]float64, []float64, error) {
		var out []Decimal
		var err error
		if table, out, err = exact(table, v, k); err != nil {
			return s, nil, err
		}
		s = slices.Grow(s[:0], len(out))[:0]
		for _, d := range out {
			s = append(s, d.Float64())
		}
		return s, s, nil
	}
}

// Interval is a span of time as old Parquet files keep it: each part counts for itself.
type Interval struct{ Months, Days, Millis uint32 }

func intervals(s []Interval, v encoding.Values, k int) ([]Interval, []Interval, error) {
	data, _ := v.FixedLenByteArray()
	s = s[:0]
	for ; len(data) >= 12 && len(s) < k; data = data[12:] {
		s = append(s, Interval{binary.LittleEndian.Uint32(data), binary.LittleEndian.Uint32(data[4:]), binary.LittleEndian.Uint32(data[8:])})
	}
	return s, s, nil
}

var (
	decimalType  = reflect.TypeFor[Decimal]()
	intervalType = reflect.TypeFor[Interval]()
)
