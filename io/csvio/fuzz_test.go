package csvio

import (
	"bytes"
	"encoding/csv"
	"errors"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/spark-go/spark-go/io/textio"
)

type four struct{ A, B, C, D *string }

// reference reads records as encoding/csv does, padded to four fields.
func reference(text string, comma, comment rune) ([][]string, error) {
	r := csv.NewReader(strings.NewReader(text))
	r.FieldsPerRecord, r.Comma, r.Comment = -1, comma, comment
	all, err := r.ReadAll()
	for i := range all {
		all[i] = append(all[i], "", "", "", "")[:4]
	}
	return all, err
}

func values4(rows []four) [][]string {
	var all [][]string
	for _, r := range rows {
		one := make([]string, 4)
		for i, p := range []*string{r.A, r.B, r.C, r.D} {
			if p != nil {
				one[i] = *p
			}
		}
		all = append(all, one)
	}
	return all
}

// FuzzReference holds records to encoding/csv, which drops the \r of line ends inside quotes, and refuses bare quotes.
func FuzzReference(f *testing.F) {
	for _, s := range []string{
		"a,b,c,d\n", "\"a\"\"b\",\"c\nd\"\r\n,,,\n", "#x\n1,2\n", "\"", "\"a\"b", "a\"b,c", "\n\n\r\n\r", "a,b\r", "\"a\r\"", "a\rb\r\r\n", "\"x\"\r", " \"y\"", "\xef\xbb\xbf1",
	} {
		f.Add(s, byte(7))
	}
	f.Fuzz(func(t *testing.T, text string, size byte) {
		if strings.HasPrefix(text, "\xff\xfe") || strings.HasPrefix(text, "\xfe\xff") {
			t.Skip() // refused as UTF-16
		}
		plain := strings.TrimPrefix(text, "\xef\xbb\xbf")
		want, wantErr := reference(plain, ',', '#')
		got, err := readAll[four](t, "fuzz", text, Options{Ragged: true, Comment: '#'}, 1<<30)
		switch {
		case errors.Is(wantErr, csv.ErrBareQuote):
			// Text to us.
		case wantErr != nil && err == nil:
			t.Errorf("%q: read as %q, encoding/csv: %v", text, values4(got), wantErr)
		case wantErr == nil && err != nil:
			t.Errorf("%q: %v, encoding/csv reads %q", text, err, want)
		case wantErr == nil:
			have := values4(got)
			for _, r := range have {
				for i := range r {
					r[i] = strings.ReplaceAll(r[i], "\r\n", "\n")
				}
			}
			if !reflect.DeepEqual(have, want) {
				t.Errorf("%q: %q, encoding/csv reads %q", text, have, want)
			}
		}
		// What lies in the buffer does not decide how a record is cut.
		for _, o := range []Options{{}, {SingleLine: true}, {Escape: '\\', TrimSpace: true}} {
			o, err := o.check()
			if err != nil || len(text) == 0 || len(text) > 200 {
				break
			}
			all, some := newScanner(o), newScanner(o)
			size, lines, how := all.scan([]byte(text), true)
			for n := 1; n <= len(text); n++ {
				s, l, h := some.scan([]byte(text[:n]), false)
				if h != cut && (s != size || l != lines || h != how || h == whole && !slices.Equal(some.fields, all.fields)) {
					t.Errorf("%q: of %d bytes the record has %d bytes, %d lines, outcome %d, fields %v; of all %d, %d, %d, %v", text, n, s, l, h, some.fields, size, lines, how, all.fields)
				}
			}
		}
		// Splits change nothing, or are refused.
		one, err1 := readAll[four](t, "fuzz", text, Options{Ragged: true, MultiLine: true}, 1)
		many, err2 := readGuessing[four](t, "fuzz", text, Options{Ragged: true}, int64(size%16)+1, int64(size&0x80))
		if err2 == nil && (err1 != nil || !reflect.DeepEqual(one, many)) || err1 == nil && err2 != nil && !strings.Contains(err2.Error(), "MultiLine") {
			t.Errorf("%q: %q, %v whole, %q, %v in splits", text, values4(one), err1, values4(many), err2)
		}
		for _, o := range []Options{{SingleLine: true}, {NoQuotes: true}, {SingleLine: true, Escape: '\\', TrimSpace: true, Delimiter: ';'}} {
			o.Ragged, o.BadLines = true, textio.SkipBadLines()
			one, err1 := readAll[four](t, "fuzz", text, o, 1<<30)
			many, err2 := readAll[four](t, "fuzz", text, o, int64(size%16)+1)
			if err1 != nil || err2 != nil || !reflect.DeepEqual(one, many) {
				t.Errorf("%q with %+v: %q, %v whole, %q, %v in splits", text, o, values4(one), err1, values4(many), err2)
			}
		}
	})
}

// FuzzRoundTrip writes and reads back.
func FuzzRoundTrip(f *testing.F) {
	f.Add("a", `b"c`, "", 1.5, int64(-3), byte(0))
	f.Add("\r", "#\\", " ", math.Inf(1), int64(0), byte(5))
	f.Add("\xef\xbb\xbf", "\n\r\n", "\\\"", 0.1, int64(math.MinInt64), byte(2))
	f.Fuzz(func(t *testing.T, a, b, c string, x float64, n int64, how byte) {
		type row struct {
			A string
			B *string
			C []byte
			X float64
			F *float32
			N int64
			M *int64
		}
		o := Options{Header: how&1 > 0, TrimSpace: how&8 > 0, Comment: '#'}
		if how&2 > 0 {
			o.Escape = '\\'
		}
		if how&4 > 0 {
			o.NullValue = `\N`
		}
		if how&16 > 0 {
			o.Delimiter = '\t'
		}
		o, err := o.check()
		if err != nil {
			t.Fatal(err)
		}
		small := float32(x)
		rows := []row{{A: a, B: &b, C: []byte(c), X: x, F: &small, N: n, M: &n}, {A: b, C: []byte(a), X: -x, N: n}}
		head, add, err := encoder[row]{o}.Begin()
		if err != nil {
			t.Fatal(err)
		}
		out, err := add(bytes.Clone(head), rows)
		if err != nil {
			t.Fatal(err)
		}
		back, err := readAll[row](t, "round", string(out), o, 1<<30)
		if err != nil || len(back) != 2 {
			t.Fatalf("%+v written as %q: %d rows, %v", rows, out, len(back), err)
		}
		for i := range back {
			for _, v := range []*float64{&rows[i].X, &back[i].X} {
				if math.IsNaN(*v) {
					*v = 0
				}
			}
			for _, v := range []*float32{rows[i].F, back[i].F} {
				if v != nil && math.IsNaN(float64(*v)) {
					*v = 0
				}
			}
			if len(rows[i].C) == 0 && len(back[i].C) == 0 {
				rows[i].C, back[i].C = nil, nil
			}
		}
		if !reflect.DeepEqual(back, rows) {
			t.Errorf("%+v written as %q, read as %+v", rows, out, back)
		}
	})
}

// FuzzFloat holds numbers to strconv.
func FuzzFloat(f *testing.F) {
	for _, s := range []string{"1.5", "1e22", "16777217.00000001", "1e-45", "0x1p3", "1_0", "9007199254740993", "+.5e+3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		own := bytes.ContainsAny([]byte(s), "xX_pP")
		want, wantErr := strconv.ParseFloat(s, 64)
		if got, err := parseFloat64([]byte(s)); own && err == nil || !own && ((err == nil) != (wantErr == nil) || err == nil && math.Float64bits(got) != math.Float64bits(want)) {
			t.Errorf("%q: %v, %v, strconv: %v, %v", s, got, err, want, wantErr)
		}
		want, wantErr = strconv.ParseFloat(s, 32)
		if got, err := parseFloat32([]byte(s)); own && err == nil || !own && ((err == nil) != (wantErr == nil) || err == nil && math.Float32bits(got) != math.Float32bits(float32(want))) {
			t.Errorf("%q as float32: %v, %v, strconv: %v, %v", s, got, err, want, wantErr)
		}
		wantInt, wantErr := strconv.ParseInt(s, 10, 32)
		if got, err := parseInt[int32]([]byte(s)); (err == nil) != (wantErr == nil) || err == nil && int64(got) != wantInt {
			t.Errorf("%q as int32: %v, %v, strconv: %v, %v", s, got, err, wantInt, wantErr)
		}
	})
}
