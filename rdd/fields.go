package rdd

import (
	"io"
	"iter"
	"math/bits"
	"reflect"
	"slices"
	"strings"
)

// Splitting lines at white space is the first step of many programs, and done word by word most of its time goes into calls and into
// branches that no processor predicts. FlatMap and FlatMapSeq therefore know strings.Fields and strings.FieldsSeq when they get
// them, and append the same words a whole line at a time.

// splitsFields reports whether f is strings.Fields or strings.FieldsSeq.
func splitsFields(f any) bool {
	switch f := f.(type) {
	case func(string) []string:
		return reflect.ValueOf(f).Pointer() == reflect.ValueOf(strings.Fields).Pointer()
	case func(string) iter.Seq[string]:
		return reflect.ValueOf(f).Pointer() == reflect.ValueOf(strings.FieldsSeq).Pointer()
	}
	return false
}

// fieldsOf returns the stream of the words of lines if f is a function that splitsFields knows, else nil.
func fieldsOf[T, U any](lines Stream[T], f any) Stream[U] {
	in, ok := any(lines).(Stream[string])
	if !ok || !splitsFields(f) {
		return nil
	}
	return any(&fieldsStream{in: in}).(Stream[U])
}

// fieldsStream is the stream of such an operation. Its rows are strings.
type fieldsStream struct {
	in   Stream[string]
	rows []string
	out  []string
}

func (s *fieldsStream) Next() ([]string, error) {
	out := s.out[:0]
	for len(out) < BatchRows {
		if len(s.rows) == 0 {
			rows, err := s.in.Next()
			if err == io.EOF && len(out) > 0 {
				break
			}
			if err != nil {
				return nil, err
			}
			s.rows = rows
		}
		out = appendFields(out, s.rows[0])
		s.rows = s.rows[1:]
	}
	s.out = out
	return out, nil
}

const (
	lowBits  = 0x0101010101010101
	highBits = 0x80 * lowBits
)

// appendFields appends the words of a line, as strings.Fields finds them.
func appendFields(out []string, line string) []string {
	had := len(out)
	inWord := uint64(0) // 1 if the byte before is part of a word
	word := 0           // where the current word began
	for from := 0; from < len(line); from += 64 {
		// text has a bit for each of the next 64 bytes that is no white space.
		block := line[from:min(from+64, len(line))]
		var text, high uint64
		at := uint(0)
		for ; len(block) >= 8; at += 8 {
			x := word64(block)
			high |= x
			text |= textBits(x) << at
			block = block[8:]
		}
		if len(block) > 0 {
			x, rest := uint64(0), uint(len(block))*8
			if end := line[max(len(line)-8, 0):]; len(end) == 8 {
				x = word64(end) >> (64 - rest)
			} else {
				for i := len(block) - 1; i >= 0; i-- {
					x = x<<8 | uint64(block[i])
				}
			}
			x |= 0x20 * lowBits << rest // what is past the end is space
			high |= x
			text |= textBits(x) << at
		}
		if high&highBits != 0 { // only ASCII is white space by the byte
			return append(out[:had], strings.Fields(line)...)
		}
		// Words begin and end where the bits change, and an end past the line is one too.
		before := text<<1 | inWord
		starts, ends := text&^before, before&^text
		if inWord != 0 && ends != 0 {
			out = append(out, line[word:from+bits.TrailingZeros64(ends)])
			ends &= ends - 1
		}
		had, n := len(out), bits.OnesCount64(ends)
		out = slices.Grow(out, n)[:had+n]
		for i := range out[had:] {
			out[had+i] = line[from+bits.TrailingZeros64(starts) : from+bits.TrailingZeros64(ends)]
			starts &= starts - 1
			ends &= ends - 1
		}
		if starts != 0 { // the block ends in a word
			word = from + bits.TrailingZeros64(starts)
		}
		inWord = text >> 63
	}
	if inWord != 0 {
		out = append(out, line[word:])
	}
	return out
}

// word64 returns the first eight bytes, the first one lowest.
func word64(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// textBits returns a bit for each of eight ASCII bytes that is not white space: tab, newline, vertical tab, form feed, carriage
// return or space. No addition carries into the next byte, since all are below 0x80.
func textBits(x uint64) uint64 {
	x &^= highBits
	notSpace := (x ^ 0x20*lowBits) + 0x7f*lowBits
	beforeTab := ^(x + (0x80-'\t')*lowBits)
	afterReturn := x + (0x80-'\r'-1)*lowBits
	m := notSpace & (beforeTab | afterReturn) & highBits
	return m >> 7 * 0x0102040810204080 >> 56
}
