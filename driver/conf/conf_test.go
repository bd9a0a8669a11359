package conf

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var rewrite = flag.Bool("rewrite", false, "write docs/configuration.md instead of comparing with it")

func TestDocumentation(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "configuration.md")
	if *rewrite {
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(Markdown()), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != Markdown() {
		t.Errorf("%s is not what the table says: run go test ./driver/conf -rewrite", path)
	}
}

func TestTable(t *testing.T) {
	seen := map[string]bool{}
	for i := range Keys {
		k := &Keys[i]
		if seen[k.Name] {
			t.Errorf("%s stands twice in the table", k.Name)
		}
		seen[k.Name] = true
		if i == 0 && k.Group == "" {
			t.Error("the first key has no group")
		}
		if !strings.HasSuffix(k.Doc, ".") {
			t.Errorf("%s: documentation %q is no sentence", k.Name, k.Doc)
		}
		for _, text := range []string{k.Default, k.Min, k.Max} {
			if text == "" {
				continue
			}
			if _, err := k.parse(text); err != nil {
				t.Errorf("%s: %q: %v", k.Name, text, err)
			}
		}
		if _, err := find(k.Name); err != nil {
			t.Errorf("%s: %v", k.Name, err)
		}
	}
	for _, a := range absent {
		if seen[a.name] {
			t.Errorf("%s is both known and absent", a.name)
		}
	}
}

func TestPrecedence(t *testing.T) {
	const key = "spark.executor.memory"
	settings := []Setting{
		{Key: key, Value: "2g", Source: File, From: "prod.conf:3"},
		{Key: key, Value: "3g", Source: Flag, From: "--executor-memory"},
		{Key: key, Value: "4g", Source: Code},
	}
	for _, order := range [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		c := New()
		if got := c.Get(key); got != "1g" || c.IsSet(key) {
			t.Errorf("unset: got %s, set %v", got, c.IsSet(key))
		}
		strongest := 0
		for _, i := range order {
			if err := c.Put(settings[i]); err != nil {
				t.Fatal(err)
			}
			strongest = max(strongest, i)
			if got := c.Lookup(key); got != settings[strongest] {
				t.Errorf("order %v: got %+v, want %+v", order, got, settings[strongest])
			}
		}
	}
	var c Conf
	for _, v := range []string{"5g", "6g"} {
		if err := c.Set(key, v); err != nil {
			t.Fatal(err)
		}
	}
	if got := c.Bytes(key); got != 6<<30 {
		t.Errorf("of two values from code the first wins: %d", got)
	}
}

func TestErrors(t *testing.T) {
	for _, c := range []struct {
		s    Setting
		want string
	}{
		{Setting{"spark.executor.memroy", "2g", Flag, "--conf"}, "set spark.executor.memroy (from --conf): no such setting; the nearest is spark.executor.memory"},
		{Setting{"spark.Executor.Memory", "2g", Code, ""}, "set spark.Executor.Memory (from code): no such setting; the nearest is spark.executor.memory"},
		{Setting{"color", "red", Code, ""}, "set color (from code): no such setting: docs/configuration.md lists all"},
		{Setting{"spark.serializer", "kryo", File, "a.conf:1"}, "set spark.serializer (from a.conf:1): spark-go has no such setting: rows are written by a codec compiled for each row type, and functions as references into the program"},
		{Setting{"spark.yarn.queue", "x", Flag, ""}, "set spark.yarn.queue (from a flag): spark-go has no such setting: YARN is not supported"},
		{Setting{"spark.executor.memory", "lots", File, "a.conf:7"}, `set spark.executor.memory to "lots" (from a.conf:7): write a whole number with b, k, m, g, t or p, such as 512m, at least 64m`},
		{Setting{"spark.executor.memory", "1m", Code, ""}, `set spark.executor.memory to "1m" (from code): out of range: at least 64m`},
		{Setting{"spark.executor.memory", "9999999999g", Code, ""}, `set spark.executor.memory to "9999999999g" (from code): write a whole number with b, k, m, g, t or p, such as 512m, at least 64m`},
		{Setting{"spark.task.maxFailures", "0", Code, ""}, `set spark.task.maxFailures to "0" (from code): out of range: at least 1`},
		{Setting{"spark.task.maxFailures", "", File, "a.conf:2"}, `set spark.task.maxFailures to "" (from a.conf:2): write a whole number, at least 1`},
		{Setting{"spark.task.maxFailures", "four", Code, ""}, `set spark.task.maxFailures to "four" (from code): write a whole number, at least 1`},
		{Setting{"spark.memory.fraction", "1.5", Code, ""}, `set spark.memory.fraction to "1.5" (from code): out of range: 0.05 to 0.95`},
		{Setting{"spark.memory.fraction", "NaN", Code, ""}, `set spark.memory.fraction to "NaN" (from code): write a number, 0.05 to 0.95`},
		{Setting{"spark.speculation", "yes", Code, ""}, `set spark.speculation to "yes" (from code): write true or false`},
		{Setting{"spark.locality.wait", "3 weeks", Code, ""}, `set spark.locality.wait to "3 weeks" (from code): write a whole number with us, ms, s, m, min, h or d, such as 30s, at least 0`},
		{Setting{"spark.scheduler.mode", "LIFO", Code, ""}, `set spark.scheduler.mode to "LIFO" (from code): write one of FIFO, FAIR`},
		{Setting{"spark.redaction.regex", "(", Code, ""}, "set spark.redaction.regex to \"(\" (from code): write a regular expression: error parsing regexp: missing closing ): `(`"},
		{Setting{"spark.hadoop.fs.s3a.committer.name", "x", Code, ""}, "set spark.hadoop.fs.s3a.committer.name (from code): spark-go has no such setting: of Hadoop's settings only those listed here have an effect"},
		{Setting{"spark.executorEnv.", "x", Code, ""}, "set spark.executorEnv. (from code): no such setting; the nearest is spark.executor.memory"},
	} {
		err := New().Put(c.s)
		if err == nil || err.Error() != c.want {
			t.Errorf("%s = %s:\n got %v\nwant %s", c.s.Key, c.s.Value, err, c.want)
		}
	}
}

func TestTypes(t *testing.T) {
	c := New()
	for key, value := range map[string]string{
		"spark.executor.memory": "2048", "spark.driver.maxResultSize": "512MB", "spark.network.timeout": "90", "spark.locality.wait": "1500",
		"spark.locality.wait.node": "2min", "spark.speculation": "TRUE", "spark.speculation.quantile": " 0.5 ", "spark.scheduler.mode": "fair",
		"spark.executorEnv.TZ": "UTC", "spark.app.name": "",
	} {
		if err := c.Set(key, value); err != nil {
			t.Error(err)
		}
	}
	for _, x := range []struct{ name, got, want any }{
		{"a memory without unit is MiB", c.Bytes("spark.executor.memory"), int64(2 << 30)},
		{"size", c.Bytes("spark.driver.maxResultSize"), int64(512 << 20)},
		{"a timeout without unit is seconds", c.Duration("spark.network.timeout"), 90 * time.Second},
		{"a wait without unit is milliseconds", c.Duration("spark.locality.wait"), 1500 * time.Millisecond},
		{"minutes", c.Duration("spark.locality.wait.node"), 2 * time.Minute},
		{"unset time", c.Duration("spark.locality.wait.process"), time.Duration(0)},
		{"unset number", c.Int("spark.default.parallelism"), 0},
		{"default number", c.Int("spark.task.maxFailures"), 4},
		{"switch", c.Bool("spark.speculation"), true},
		{"fraction", c.Float("spark.speculation.quantile"), 0.5},
		{"choice in the case of the table", c.Get("spark.scheduler.mode"), "FAIR"},
		{"environment", c.WithPrefix("spark.executorEnv.")["TZ"], "UTC"},
		{"empty", c.Get("spark.app.name"), ""},
		{"unknown", c.Get("spark.nothing"), ""},
	} {
		if x.got != x.want {
			t.Errorf("%s: got %v, want %v", x.name, x.got, x.want)
		}
	}
}

func TestUnits(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "17": 17, "17b": 17, "1k": 1 << 10, "1kb": 1 << 10, "1 K": 1 << 10, "3m": 3 << 20, "3MB": 3 << 20, "2g": 2 << 30, "1t": 1 << 40, "1p": 1 << 50,
		"": -1, "m": -1, "1.5g": -1, "1x": -1, "9223372036854775807k": -1, "1m2": -1,
	} {
		if got, err := ParseBytes(text); err != nil && want != -1 || err == nil && got != want {
			t.Errorf("size %q: got %d, %v, want %d", text, got, err, want)
		}
	}
	for text, want := range map[string]time.Duration{
		"0": 0, "250": 250 * time.Millisecond, "5us": 5 * time.Microsecond, "100ms": 100 * time.Millisecond, "3s": 3 * time.Second, "2m": 2 * time.Minute,
		"2min": 2 * time.Minute, "1h": time.Hour, "1d": 24 * time.Hour, "": -1, "h": -1, "1.5s": -1, "365000000d": -1,
	} {
		if got, err := ParseDuration(text); err != nil && want != -1 || err == nil && got != want {
			t.Errorf("time %q: got %v, %v, want %v", text, got, err, want)
		}
	}
}

func TestCheck(t *testing.T) {
	c := New()
	if err := c.Check(); err != nil {
		t.Errorf("defaults: %v", err)
	}
	if err := c.Put(Setting{Key: "spark.network.timeout", Value: "5s", Source: Flag, From: "--conf"}); err != nil {
		t.Fatal(err)
	}
	want := "spark.executor.heartbeatInterval is 10s (from the default) and must be less than spark.network.timeout, which is 5s (from --conf)"
	if err := c.Check(); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestRedaction(t *testing.T) {
	c := New()
	for key, want := range map[string]string{
		"spark.executorEnv.SECRET_KEY": "*********(redacted)", "spark.executorEnv.AWS_ACCESS_KEY": "*********(redacted)",
		"spark.executorEnv.DB_PASSWORD": "*********(redacted)", "spark.executorEnv.API_TOKEN": "*********(redacted)", "spark.app.name": "x",
	} {
		if got := c.Redacted(key, "x"); got != want {
			t.Errorf("%s: got %s, want %s", key, got, want)
		}
	}
	if err := c.Set("spark.redaction.regex", "name"); err != nil {
		t.Fatal(err)
	}
	if got := c.Redacted("spark.app.name", "x"); got == "x" {
		t.Error("spark.redaction.regex has no effect")
	}
	err := c.Set("spark.secret.memory", "hunter2")
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("error shows a secret: %v", err)
	}
}

func TestPropertiesFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spark-defaults.conf")
	text := `# comment
! another
spark.master            local[2]
spark.app.name=a = b
spark.executor.memory : 2g
  spark.driver.memory	3g

spark.executorEnv.ENDPOINT http\://host\
   :9000
spark.executorEnv.X \u00e9\t\ud83d\ude00
spark.local.dir
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c := New()
	if err := c.PutFile(path); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range c.Settings() {
		got = append(got, fmt.Sprintf("%s=%s %s", s.Key, s.Value, strings.TrimPrefix(s.From, path)))
	}
	want := []string{
		"spark.app.name=a = b :4", "spark.driver.memory=3g :6", "spark.executor.memory=2g :5", "spark.executorEnv.ENDPOINT=http://host:9000 :8", "spark.executorEnv.X=é\t😀 :10",
		"spark.local.dir= :11", "spark.master=local[2] :3",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if err := os.WriteFile(path, []byte("spark.executor.memory 1x\nspark.no 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := c.PutFile(path); err == nil || !strings.Contains(err.Error(), ":1)") || !strings.Contains(err.Error(), ":2)") {
		t.Errorf("two wrong lines: %v", err)
	}
	if err := c.PutFile(path + "x"); err == nil {
		t.Error("a missing file is no error")
	}
}

func TestEnvironment(t *testing.T) {
	c := New()
	for _, s := range []Setting{
		{Key: "spark.master", Value: "local[3]", Source: Flag, From: "--master"},
		{Key: "spark.app.name", Value: "\"quoted\"\n", Source: File, From: "a.conf:1"},
	} {
		if err := c.Put(s); err != nil {
			t.Fatal(err)
		}
	}
	entry, err := c.Environ()
	if err != nil {
		t.Fatal(err)
	}
	name, value, _ := strings.Cut(entry, "=")
	t.Setenv(name, value)
	got, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got.Settings(), c.Settings()) {
		t.Errorf("got %v, want %v", got.Settings(), c.Settings())
	}
	for _, wrong := range []string{"{", `[{"Key":"spark.no"}]`, `[{"Key":"spark.master","Source":9}]`} {
		t.Setenv(Variable, wrong)
		if _, err := Load(); err == nil {
			t.Errorf("%s is loaded", wrong)
		}
	}
}

func FuzzProperties(f *testing.F) {
	for _, s := range []string{"a b", "a=b\\\n c", `\u00e9: \ud83d\ude00`, "#x\n!y\n\\", "a\\=b=c\r\nd", `a \u12`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		properties, err := ParseProperties(text)
		if err != nil {
			return
		}
		lines := strings.Count(text, "\n") + strings.Count(text, "\r") + 1
		last := 0
		for _, p := range properties {
			if p.Line <= last || p.Line > lines {
				t.Errorf("property %q of %q on line %d after line %d", p.Key, text, p.Line, last)
			}
			last = p.Line
		}
	})
}

func ExampleConf_Put() {
	c := New()
	for _, s := range []Setting{
		{Key: "spark.executor.memory", Value: "4g", Source: Flag, From: "--executor-memory"},
		{Key: "spark.executor.memory", Value: "2g", Source: File, From: "spark-defaults.conf:3"},
	} {
		if err := c.Put(s); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println(c.Bytes("spark.executor.memory")>>20, "MiB, from", c.Lookup("spark.executor.memory").From)
	fmt.Println(c.Set("spark.executor.memroy", "1g"))
	// Output:
	// 4096 MiB, from --executor-memory
	// set spark.executor.memroy (from code): no such setting; the nearest is spark.executor.memory
}
