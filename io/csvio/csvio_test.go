package csvio

import (
	"io"
	"math"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spark-go/spark-go/io/filesys"
	"github.com/spark-go/spark-go/io/textio"
)

// readAll reads a file in splits of about target bytes as tasks would, without an engine.
func readAll[T any](tb testing.TB, name, text string, o Options, target int64) ([]T, error) {
	tb.Helper()
	return readGuessing[T](tb, name, text, o, target, walkMost)
}

// readGuessing guesses where splits begin that lie behind the first walk bytes.
func readGuessing[T any](tb testing.TB, name, text string, o Options, target, walk int64) ([]T, error) {
	tb.Helper()
	uri := "mem://csvio/" + name
	if err := filesys.WriteFile(tb.Context(), uri, []byte(text)); err != nil {
		tb.Fatal(err)
	}
	info, err := filesys.Stat(tb.Context(), uri)
	if err != nil {
		tb.Fatal(err)
	}
	if o, err = o.check(); err != nil {
		return nil, err
	}
	d, err := newDecoder[T](o)
	if err != nil {
		return nil, err
	}
	d.walk = walk
	defer d.Close()
	plan := textio.PlanLines
	if o.MultiLine {
		plan = textio.PlanFiles
	}
	var all []T
	for _, p := range plan([]filesys.Info{info}, filesys.SplitOptions{MaxPartitionBytes: target, OpenCostBytes: target}) {
		for _, s := range p {
			if err := d.Open(tb.Context(), s); err != nil {
				return all, err
			}
			for {
				rows, err := d.Next()
				if err == io.EOF {
					break
				}
				if err != nil {
					return all, err
				}
				all = append(all, rows...)
			}
			d.Close()
		}
	}
	return all, nil
}

type pair struct {
	A string
	B int32
}

func TestRecords(t *testing.T) {
	p := func(pairs ...pair) []pair { return pairs }
	for name, c := range map[string]struct {
		text string
		o    Options
		want []pair
	}{
		"plain":                {"x,1\ny,2\n", Options{}, p(pair{"x", 1}, pair{"y", 2})},
		"no final newline":     {"x,1\ny,2", Options{}, p(pair{"x", 1}, pair{"y", 2})},
		"crlf":                 {"x,1\r\ny,2\r\n", Options{}, p(pair{"x", 1}, pair{"y", 2})},
		"crlf, no end":         {"x,1\r\ny,2\r", Options{}, p(pair{"x", 1}, pair{"y", 2})},
		"empty file":           {"", Options{}, nil},
		"empty with header":    {"", Options{Header: true}, nil},
		"header only":          {"a,b\n", Options{Header: true}, nil},
		"header, no end":       {"a,b", Options{Header: true}, nil},
		"header in order":      {"b,z,A\n1,q,x\n", Options{Header: true}, p(pair{"x", 1})},
		"header in quotes":     {"\"b\",\"a\"\r\n1,x\r\n", Options{Header: true}, p(pair{"x", 1})},
		"mark":                 {"\xef\xbb\xbfa,b\nx,1\n", Options{Header: true}, p(pair{"x", 1})},
		"mark before a quote":  {"\xef\xbb\xbf\"x\",1\n", Options{}, p(pair{"x", 1})},
		"columns":              {"1,x\n", Options{Columns: []string{"B", "a"}}, p(pair{"x", 1})},
		"empty lines":          {"\n\r\nx,1\n\n\ny,2\n\n", Options{}, p(pair{"x", 1}, pair{"y", 2})},
		"quotes":               {"\"x,\"\"y\"\"\",\"1\"\n\"\",2\n", Options{}, p(pair{`x,"y"`, 1}, pair{"", 2})},
		"lines in quotes":      {"\"a\r\nb\n\",1\r\nc,2\n", Options{}, p(pair{"a\r\nb\n", 1}, pair{"c", 2})},
		"bare quotes":          {"5\" pipe,1\nx\"\"y,2\n", Options{}, p(pair{`5" pipe`, 1}, pair{`x""y`, 2})},
		"escapes":              {`"a\"b\\",1` + "\n" + `"c""d\n",2` + "\n", Options{Escape: '\\'}, p(pair{`a"b\`, 1}, pair{`c"d\n`, 2})},
		"other characters":     {"# c\n'x;''';1\n#'\ny;2\n#", Options{Delimiter: ';', Quote: '\'', Comment: '#'}, p(pair{"x;'", 1}, pair{"y", 2})},
		"tabs without quotes":  {"\"x\t1\n\\N\t2\n", Options{Delimiter: '\t', NoQuotes: true}, p(pair{`"x`, 1}, pair{`\N`, 2})},
		"blanks":               {" x , 1 \n \"y \"\t,\t2\r\n", Options{TrimSpace: true}, p(pair{"x", 1}, pair{"y ", 2})},
		"blanks that count":    {" x ,1\n", Options{}, p(pair{" x ", 1})},
		"ragged":               {"x,1,z\ny,2\n", Options{Ragged: true}, p(pair{"x", 1}, pair{"y", 2})},
		"nul and not UTF-8":    {"a\x00b,1\n\xff\xfe,2\n", Options{}, p(pair{"a\x00b", 1}, pair{"\xff\xfe", 2})},
		"skipped":              {"x,1\ny,two\nz\n\"q\"r,3\nw,4\n", Options{BadLines: textio.SkipBadLines()}, p(pair{"x", 1}, pair{"w", 4})},
		"skipped open quote":   {"x,1\n\"y,2\nz,3\n", Options{SingleLine: true, BadLines: textio.SkipBadLines()}, p(pair{"x", 1}, pair{"z", 3})},
		"comments before head": {"#1\n#2\n#3\na,b\nx,1\ny,2\nz,3\n", Options{Header: true, Comment: '#', SingleLine: true}, p(pair{"x", 1}, pair{"y", 2}, pair{"z", 3})},
	} {
		targets := []int64{1 << 30}
		if c.o.SingleLine || c.o.NoQuotes || !strings.Contains(name, "quotes") && !strings.Contains(name, "escapes") {
			c.o.SingleLine = true
			targets = append(targets, 1, 2, 3, 7)
		}
		for _, target := range targets {
			got, err := readAll[pair](t, name, c.text, c.o, target)
			if err != nil || !reflect.DeepEqual(got, c.want) {
				t.Errorf("%s in splits of %d: %+v, %v, want %+v", name, target, got, err, c.want)
			}
		}
	}
}

type label string

type inner struct{ Depth int16 }

type every struct {
	Bool     bool
	Int8     int8
	Int      int64
	Uint     uint16
	Float    float32
	Double   float64
	Text     label
	Bytes    []byte
	When     time.Time
	Day      time.Time `csv:"day,format=Jan 2, 2006"`
	Wait     time.Duration
	Addr     netip.Addr
	MayInt   *int32
	MayText  *string
	MayLabel *label
	MayWhen  *time.Time
	MayAddr  *netip.Addr
	Zero     int      `csv:",nullzero"`
	Out      chan int `csv:"-"`
	inner
}

const everyHead = "bool,int8,int,uint,float,double,text,bytes,when,day,wait,addr,may_int,may_text,MAYLABEL,maywhen,mayaddr,zero,depth\n"

func ptr[V any](v V) *V { return &v }

func TestTypes(t *testing.T) {
	text := everyHead + `TRUE,-128,-9223372036854775808,65535,3.4028235e38,-1e-320,x,"b""y",2026-01-02 03:04:05.5,"Feb 3, 2025",1m30s,10.0.0.1,7,"",q,2026-05-06,::1,9,-3
0,127,+9223372036854775807,0,NaN,-Inf,,,2026-01-02T03:04:05+01:00,"Feb 3, 2025",0s,::,,,,,,,0
`
	got, err := readAll[every](t, "every", text, Options{Header: true}, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	zone := got[1].When
	if !zone.Equal(time.Date(2026, 1, 2, 2, 4, 5, 0, time.UTC)) {
		t.Errorf("a time with a zone: %v", zone)
	}
	got[1].When = time.Time{}
	if !math.IsNaN(float64(got[1].Float)) {
		t.Errorf("NaN: %v", got[1].Float)
	}
	got[1].Float = 0
	day := time.Date(2025, 2, 3, 0, 0, 0, 0, time.UTC)
	want := []every{
		{
			Bool: true, Int8: -128, Int: math.MinInt64, Uint: 65535, Float: math.MaxFloat32, Double: -1e-320, Text: "x", Bytes: []byte(`b"y`),
			When: time.Date(2026, 1, 2, 3, 4, 5, 5e8, time.UTC), Day: day, Wait: 90 * time.Second, Addr: netip.MustParseAddr("10.0.0.1"),
			MayInt: ptr[int32](7), MayText: ptr(""), MayLabel: ptr[label]("q"), MayWhen: ptr(time.Date(2026, 5, 6, 0, 0, 0, 0, time.UTC)),
			MayAddr: ptr(netip.MustParseAddr("::1")), Zero: 9, inner: inner{-3},
		},
		{Int8: 127, Int: math.MaxInt64, Double: math.Inf(-1), Day: day, Addr: netip.MustParseAddr("::")},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v, want\n%+v", got, want)
	}
}

func TestErrorsNameThePlace(t *testing.T) {
	for text, want := range map[string][]string{
		"a,b\nx,1\n\ny,two\n":        {"mem://csvio/errors: line 4, column 2: \"b\": \"two\" is no value for field csvio.pair.B, a int32", "BadLines"},
		"a,b\n\"\n\n\",3000000000\n": {"line 2, column 2", "out of range"},
		"a,b\nx,\n":                  {"line 2", "null", "pointer", "nullzero"},
		"a,b\nx\n":                   {"line 2", "1 fields instead of 2"},
		"a,b\nx,1,\n":                {"line 2", "3 fields instead of 2"},
		"a,b\nx,1\n\"y,2\nz,3\n":     {"line 3", "never closed"},
		"a,b\n\"x\"y,1\n":            {"line 2", "follows a closing quote"},
		"a,c\nx,1\n":                 {"pair.B", `no column "B"`, "a, c"},
		"a,b,B\nx,1,2\n":             {},
		"a,b,b\nx,1,2\n":             {"both match", `"b"`},
		"\"a,b\n":                    {"line 1", "header"},
		"\xff\xfea\x00":              {"UTF-16", "iconv"},
	} {
		_, err := readAll[pair](t, "errors", text, Options{Header: true}, 1<<30)
		if len(want) == 0 {
			if err != nil {
				t.Errorf("%q: %v", text, err)
			}
			continue
		}
		for _, w := range want {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("%q: %v, want %q in it", text, err, w)
			}
		}
	}
	// Also where the split does not begin the file, the line is the file's.
	text := strings.Repeat("x,1\n", 100) + "y,two\n" + strings.Repeat("x,1\n", 100)
	if _, err := readAll[pair](t, "errors", text, Options{SingleLine: true}, 64); err == nil || !strings.Contains(err.Error(), "line 101, column 2") {
		t.Error(err)
	}
	// A quote left open takes everything with it, so nobody may leave it out.
	if _, err := readAll[pair](t, "errors", "x,1\n\"y,2\nz,3\n", Options{BadLines: textio.SkipBadLines()}, 1<<30); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Error(err)
	}
}

func TestRefusals(t *testing.T) {
	for _, o := range []Options{{Delimiter: '\n'}, {Delimiter: '"'}, {Quote: 0xff}, {Comment: ','}, {Comment: '"'}, {NullValue: "a,b"}, {NullValue: "\""}, {NullValue: " ", TrimSpace: true}, {NullValue: "#", Comment: '#'}, {Header: true, Columns: []string{"a"}}} {
		if _, err := readAll[pair](t, "x", "", o, 1); err == nil {
			t.Errorf("%+v is taken", o)
		}
	}
	type nested struct{ A []int }
	type wrong struct {
		A string `csv:"a,format=2006"`
	}
	type odd struct {
		A string `csv:"a,omitempty"`
	}
	for name, try := range map[string]func() error{
		"[]int":       func() error { _, err := readAll[nested](t, "x", "", Options{}, 1); return err },
		"format=":     func() error { _, err := readAll[wrong](t, "x", "", Options{}, 1); return err },
		"omitempty":   func() error { _, err := readAll[odd](t, "x", "", Options{}, 1); return err },
		"structs":     func() error { _, err := readAll[int](t, "x", "", Options{}, 1); return err },
		"no exported": func() error { _, err := readAll[struct{}](t, "x", "", Options{}, 1); return err },
	} {
		if err := try(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNullValue(t *testing.T) {
	type row struct {
		S *string
		I *int
		P string `csv:",nullzero"`
	}
	got, err := readAll[row](t, "nulls", "NA,NA,NA\n\"NA\",\"\",\"NA\"\n,,\n", Options{NullValue: "NA"}, 1<<30)
	want := []row{{}, {S: ptr("NA"), P: "NA"}, {S: ptr("")}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := readAll[pair](t, "nulls", "NA,1\n", Options{NullValue: "NA"}, 1<<30); err == nil || !strings.Contains(err.Error(), "null") {
		t.Error(err)
	}
}

// TestLongStretchOfBadLines: a batch must not end, and with it the file, because nothing good came for long.
func TestLongStretchOfBadLines(t *testing.T) {
	text := "x,1\n" + strings.Repeat("y,two\n", 3*batchBytes/6) + "z,3\n"
	got, err := readAll[pair](t, "stretch", text, Options{BadLines: textio.SkipBadLines()}, 1<<30)
	if want := []pair{{"x", 1}, {"z", 3}}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%d rows, %v", len(got), err)
	}
	text = "x,1\n" + strings.Repeat("# comment\n\n", 3*batchBytes/11) + "z,3\n"
	got, err = readAll[pair](t, "stretch", text, Options{Comment: '#'}, 1<<30)
	if want := []pair{{"x", 1}, {"z", 3}}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%d rows, %v", len(got), err)
	}
}

// TestTimesInOrder: what came before does not decide how an ambiguous date is read.
func TestTimesInOrder(t *testing.T) {
	type row struct{ Day time.Time }
	got, err := readAll[row](t, "days", "01/02/2026\n13/02/2026\n01/02/2026\n", Options{TimeFormats: []string{"01/02/2006", "02/01/2006"}}, 1<<30)
	if err != nil || len(got) != 3 || got[0] != got[2] || got[1].Day.Day() != 13 {
		t.Errorf("%v, %v", got, err)
	}
	got, err = readAll[row](t, "days", "2026-01-02\n2026-01-02 00:00:00\n2026-01-02T00:00:00Z\n2026-01-02\n", Options{}, 1<<30)
	if err != nil || len(got) != 4 || got[0] != got[1] || got[1] != got[2] || got[0] != got[3] {
		t.Errorf("%v, %v", got, err)
	}
}

func TestHugeFieldAndBuffers(t *testing.T) {
	huge := strings.Repeat("0123456789abcde\n", 10<<16)
	var b strings.Builder
	var want []pair
	for i := range 30_000 {
		s := strings.Repeat("x", i%97)
		if i%5 == 0 {
			s = "\n" + s + `"`
		}
		if i == 7_000 {
			s = huge
		}
		want = append(want, pair{s, int32(i)})
	}
	for _, p := range want {
		b.WriteString(`"` + strings.ReplaceAll(p.A, `"`, `""`) + `",` + strconv.Itoa(int(p.B)) + "\r\n")
	}
	got, err := readAll[pair](t, "huge", b.String(), Options{}, 1<<30)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%d rows of %d: %v", len(got), len(want), err)
	}
}

func TestNumbers(t *testing.T) {
	for _, s := range []string{
		"0", "-0", "1", "1.5", ".5", "5.", "-1e3", "1E-3", "9007199254740993", "1e22", "1e23", "123456789012345678901234567890", "1e400", "-1e400", "1e-400",
		"0.1", "0.000001", "3.4028236e38", "3.4028235e38", "1e-45", "1e-46", "16777217", "16777217.0000001", "0.30000000000000004", "inf", "-Infinity", "nan",
		"", ".", "-", "+", "e5", "1e", "1e+", "0x1p4", "1_000", "1 ", "--1", "1.2.3", "1e99999", "00000000000000000000000000001.5",
	} {
		for _, bits := range []int{32, 64} {
			want, wantErr := strconv.ParseFloat(s, bits)
			var got float64
			var err error
			if bits == 64 {
				got, err = parseFloat64([]byte(s))
			} else {
				var f float32
				f, err = parseFloat32([]byte(s))
				got = float64(f)
			}
			if strings.ContainsAny(s, "x_") {
				wantErr = strconv.ErrSyntax
			}
			if (err == nil) != (wantErr == nil) || err == nil && math.Float64bits(got) != math.Float64bits(want) {
				t.Errorf("%q as float%d: %v, %v, want %v, %v", s, bits, got, err, want, wantErr)
			}
		}
	}
	for _, s := range []string{"0", "-0", "+5", "127", "128", "-128", "-129", "", "-", "+", "--1", "+-1", "1.0", "99999999999999999999999", "0000000000000000000000007"} {
		want, wantErr := strconv.ParseInt(s, 10, 8)
		if got, err := parseInt[int8]([]byte(s)); (err == nil) != (wantErr == nil) || err == nil && int64(got) != want {
			t.Errorf("%q as int8: %v, %v, want %v, %v", s, got, err, want, wantErr)
		}
	}
	if n, err := parseUint[uint64]([]byte("18446744073709551615")); n != math.MaxUint64 || err != nil {
		t.Error(n, err)
	}
}
