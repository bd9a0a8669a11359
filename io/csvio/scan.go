package csvio

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// span is one field of a record, as it lies in the buffer, without its quotes.
type span struct {
	from, to int
	quoted   bool
	escaped  bool // it holds escapes or doubled quotes
}

// scanner cuts records into fields.
type scanner struct {
	delim, quote, escape byte
	quotes, single, trim bool
	delims               uint64 // the delimiter in every byte
	fields               []span // of the last record
}

func newScanner(o Options) scanner {
	return scanner{
		delim: o.Delimiter, quote: o.Quote, escape: o.Escape, quotes: !o.NoQuotes, single: o.SingleLine, trim: o.TrimSpace,
		delims: uint64(o.Delimiter) * ones,
	}
}

// outcome is how the scan of a record ended.
type outcome uint8

const (
	whole     outcome = iota
	cut               // the data end within the record
	unclosed          // the file, or the line, ends within quotes
	afterward         // something follows a closing quote
)

// scan cuts the record at the start of data, of which there is some. size is its length with the line end, lines how many line feeds it holds. last
// says that nothing follows data.
func (s *scanner) scan(data []byte, last bool) (size, lines int, how outcome) {
	fields := s.fields[:0]
	i, n := 0, len(data)
	for {
		if s.trim {
			for i < n && (data[i] == ' ' || data[i] == '\t') && data[i] != s.delim {
				i++
			}
		}
		from := i
		if i < n && s.quotes && data[i] == s.quote {
			f := span{from: i + 1, quoted: true}
			end := n
			if s.single {
				if eol := bytes.IndexByte(data[i:], '\n'); eol >= 0 {
					end = i + eol
				} else if !last {
					return 0, 0, cut
				}
			}
			var ok bool
			if f.to, f.escaped, ok = s.quotedEnd(data[:end], i+1, last || end < n); !ok {
				switch {
				case end == n && !last:
					return 0, 0, cut
				case end < n:
					return end + 1, lines + 1, unclosed
				}
				return n, lines + bytes.Count(data[from:], []byte{'\n'}), unclosed
			}
			lines += bytes.Count(data[f.from:f.to], []byte{'\n'})
			i = f.to + 1
			if s.trim {
				for i < n && (data[i] == ' ' || data[i] == '\t') && data[i] != s.delim {
					i++
				}
			}
			fields = append(fields, f)
			after := i
			if i < n && data[i] == '\r' && (i+1 < n && data[i+1] == '\n' || i+1 == n && last) {
				i++
			}
			switch {
			case i == n && last:
				s.fields = fields
				return n, lines, whole
			case i == n || i+1 == n && data[i] == '\r' && !last:
				return 0, 0, cut
			case data[i] == '\n':
				s.fields = fields
				return i + 1, lines + 1, whole
			case data[i] == s.delim && i == after:
				i++
				continue
			}
			eol := bytes.IndexByte(data[i:], '\n')
			switch {
			case eol >= 0:
				return i + eol + 1, lines + 1, afterward
			case last:
				return n, lines, afterward
			}
			return 0, 0, cut
		}
		i = s.plainEnd(data, i)
		if i < n && data[i] == s.delim {
			fields = append(fields, s.plain(data, from, i))
			i++
			continue
		}
		if i == n && !last {
			return 0, 0, cut
		}
		to := i
		if to > from && data[to-1] == '\r' {
			to--
		}
		s.fields = append(fields, s.plain(data, from, to))
		if i < n {
			return i + 1, lines + 1, whole
		}
		return n, lines, whole
	}
}

const (
	ones  = 0x0101010101010101
	highs = 0x80 * ones
)

// plainEnd finds the delimiter or line feed that ends a field without quotes, or the end of data, eight bytes at a time: of a word x with zero bytes, the lowest bit of
// (x - ones) &^ x & highs lies in the first of them. Bits above it may be false.
func (s *scanner) plainEnd(data []byte, i int) int {
	for ; i+8 <= len(data); i += 8 {
		x := binary.LittleEndian.Uint64(data[i:])
		d, l := x^s.delims, x^'\n'*ones
		if found := ((d-ones)&^d | (l-ones)&^l) & highs; found != 0 {
			return i + bits.TrailingZeros64(found)>>3
		}
	}
	for ; i < len(data); i++ {
		if c := data[i]; c == s.delim || c == '\n' {
			break
		}
	}
	return i
}

// plain is a field without quotes.
func (s *scanner) plain(data []byte, from, to int) span {
	if s.trim {
		for to > from && (data[to-1] == ' ' || data[to-1] == '\t') {
			to--
		}
	}
	return span{from: from, to: to}
}

// quotedEnd finds the quote that closes the field whose text begins at i. complete says that no more data could change what data holds.
func (s *scanner) quotedEnd(data []byte, i int, complete bool) (end int, escaped, ok bool) {
	if s.escape != s.quote {
		return s.escapedEnd(data, i, complete)
	}
	for {
		k := bytes.IndexByte(data[i:], s.quote)
		if k < 0 {
			return 0, escaped, false
		}
		i += k
		switch {
		case i+1 == len(data) && !complete:
			return 0, escaped, false
		case i+1 < len(data) && data[i+1] == s.quote:
			escaped = true
			i += 2
		default:
			return i, escaped, true
		}
	}
}

func (s *scanner) escapedEnd(data []byte, i int, complete bool) (end int, escaped, ok bool) {
	for ; i < len(data); i++ {
		c := data[i]
		if c != s.quote && c != s.escape {
			continue
		}
		next := i+1 < len(data)
		if !next && !complete {
			break
		}
		switch {
		case c == s.escape:
			if next && (data[i+1] == s.quote || data[i+1] == s.escape) {
				escaped = true
				i++
			}
		case next && data[i+1] == s.quote:
			escaped = true
			i++
		default:
			return i, escaped, true
		}
	}
	return 0, escaped, false
}

// unescape appends the text of an escaped field to dst.
func (s *scanner) unescape(dst, text []byte) []byte {
	for i := 0; i < len(text); i++ {
		c := text[i]
		if i+1 < len(text) && (c == s.escape && (text[i+1] == s.quote || text[i+1] == s.escape) || c == s.quote && text[i+1] == s.quote) {
			i++
			c = text[i]
		}
		dst = append(dst, c)
	}
	return dst
}
