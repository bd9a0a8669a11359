package csvio

import (
	"bytes"
	"errors"
	"math"
	"strconv"
)

// parseInt reads a decimal integer.
func parseInt[V int | int8 | int16 | int32 | int64](text []byte) (V, error) {
	digits, negative := text, false
	if len(digits) > 0 && (digits[0] == '-' || digits[0] == '+') {
		negative = digits[0] == '-'
		digits = digits[1:]
	}
	if len(digits) > 0 && digits[0] == '+' {
		return 0, errSyntax
	}
	n, err := parseUint[uint64](digits)
	if err != nil {
		return 0, err
	}
	if n > 1<<63 || n == 1<<63 && !negative {
		return 0, errRange
	}
	x := int64(n)
	if negative {
		x = -x
	}
	if int64(V(x)) != x {
		return 0, errRange
	}
	return V(x), nil
}

// parseUint reads a decimal integer without a minus.
func parseUint[V uint | uint8 | uint16 | uint32 | uint64](text []byte) (V, error) {
	if len(text) > 0 && text[0] == '+' {
		text = text[1:]
	}
	if len(text) == 0 {
		return 0, errSyntax
	}
	if len(text) > 19 {
		// Still in range where it begins with zeros, or just so.
		for _, c := range text {
			if c-'0' > 9 {
				return 0, errSyntax
			}
		}
		n, err := strconv.ParseUint(string(text), 10, 64)
		if err != nil || uint64(V(n)) != n {
			return 0, errRange
		}
		return V(n), nil
	}
	var n uint64
	for _, c := range text {
		d := c - '0'
		if d > 9 {
			return 0, errSyntax
		}
		n = n*10 + uint64(d)
	}
	if uint64(V(n)) != n {
		return 0, errRange
	}
	return V(n), nil
}

// exact powers of ten: they and their products with, and quotients of, integers below 2^53 are rounded once.
var powers = [...]float64{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22}

// decimal reads digits with an optional point and exponent as mantissa × 10^exponent; ok is false for anything else and
// for more than 19 digits.
func decimal(text []byte) (mantissa uint64, exponent int, negative, ok bool) {
	i := 0
	if len(text) > 0 && (text[0] == '-' || text[0] == '+') {
		negative = text[0] == '-'
		i++
	}
	digits := 0
	for ; i < len(text); i++ {
		d := text[i] - '0'
		if d > 9 {
			break
		}
		mantissa = mantissa*10 + uint64(d)
		digits++
	}
	if i < len(text) && text[i] == '.' {
		i++
		point := i
		for ; i < len(text); i++ {
			d := text[i] - '0'
			if d > 9 {
				break
			}
			mantissa = mantissa*10 + uint64(d)
		}
		exponent = point - i
		digits += i - point
	}
	if digits == 0 || digits > 19 {
		return 0, 0, false, false
	}
	if i < len(text) && text[i]|0x20 == 'e' {
		i++
		down := false
		if i < len(text) && (text[i] == '-' || text[i] == '+') {
			down = text[i] == '-'
			i++
		}
		e, from := 0, i
		for ; i < len(text) && i < from+4; i++ {
			d := text[i] - '0'
			if d > 9 {
				return 0, 0, false, false
			}
			e = e*10 + int(d)
		}
		if i == from {
			return 0, 0, false, false
		}
		if down {
			e = -e
		}
		exponent += e
	}
	return mantissa, exponent, negative, i == len(text)
}

// quick computes what decimal found, if that takes one rounding (Clinger's fast path).
func quick(text []byte) (float64, bool) {
	m, e, negative, ok := decimal(text)
	if !ok || m > 1<<53 || e < -22 || e > 22 {
		return 0, false
	}
	x := float64(m)
	if e < 0 {
		x /= powers[-e]
	} else {
		x *= powers[e]
	}
	if negative {
		x = -x
	}
	return x, true
}

func parseFloat64(text []byte) (float64, error) {
	if x, ok := quick(text); ok {
		return x, nil
	}
	return slowFloat(text, 64)
}

func parseFloat32(text []byte) (float32, error) {
	if x, ok := quick(text); ok {
		// Rounding a second time is wrong only if the first one landed on the middle between two float32, and differs for those
		// that float32 has no room for.
		middle := math.Float64bits(x)&(1<<29-1) == 1<<28
		if abs := math.Abs(x); !middle && (abs == 0 || abs > 1e-37 && abs < 3e38) {
			return float32(x), nil
		}
	}
	x, err := slowFloat(text, 32)
	return float32(x), err
}

// slowFloat leaves it to strconv, less what is Go's own: hexadecimal numbers and underscores.
func slowFloat(text []byte, bits int) (float64, error) {
	if bytes.ContainsAny(text, "xX_pP") {
		return 0, errSyntax
	}
	x, err := strconv.ParseFloat(string(text), bits)
	switch {
	case err == nil:
		return x, nil
	case errors.Is(err, strconv.ErrRange):
		return 0, errRange
	}
	return 0, errSyntax
}
