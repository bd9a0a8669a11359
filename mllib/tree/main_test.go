package tree

import (
	"log/slog"
	"os"
	"testing"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/mllib/linalg"
)

func TestMain(m *testing.M) {
	driver.Serve()
	slog.SetLogLoggerLevel(slog.LevelWarn)
	os.Exit(m.Run())
}

// local starts a session for a test.
func local(t testing.TB, master string) *driver.Context {
	t.Helper()
	sc := driver.New(driver.Master(master))
	if err := sc.Err(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sc.Stop)
	return sc
}

// lcg is a generator that other languages have too: glibc's constants, upper bits.
type lcg uint32

func (g *lcg) next(n int) int {
	*g = *g*1103515245 + 12345
	return int(*g>>16) % n
}

// planted makes rows whose class follows from their features, but for some noise. Feature 3 is a category of 6, feature 4 of 12.
func planted(n int) []linalg.Instance {
	g := lcg(1)
	rows := make([]linalg.Instance, n)
	for i := range rows {
		x := []float64{float64(g.next(20)), float64(g.next(10)), float64(g.next(500)), float64(g.next(6)), float64(g.next(12))}
		y := 0
		if x[0] > 11 {
			y = 1
		}
		if x[1] > 6 || int(x[3])%3 == 1 {
			y = 2 - y
		}
		if x[2] < 120 && int(x[4])%5 < 2 {
			y = 1
		}
		if g.next(10) == 0 {
			y = g.next(3)
		}
		rows[i] = linalg.Instance{Label: float64(y), Weight: 1 + float64(g.next(3)), Features: linalg.Dense(x...)}
	}
	return rows
}

func digest(t testing.TB, m interface{ SHA256() (string, error) }) string {
	t.Helper()
	sum, err := m.SHA256()
	if err != nil {
		t.Fatal(err)
	}
	return sum
}
