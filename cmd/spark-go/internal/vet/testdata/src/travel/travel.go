// Package travel has environments and captures of values that cannot leave their process.
package travel

import (
	"bufio"
	"context"
	"database/sql"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"sync"
	"sync/atomic"
	"time"
	"unique"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/rdd"
)

type job struct {
	name string
	out  *os.File
}

type fleet struct {
	jobs map[string][]*job
}

type list struct {
	next *list
	v    int
}

func BadChannel(r rdd.RDD[int]) rdd.RDD[int] {
	done := make(chan int)
	return rdd.Map(r, func(x int) int { done <- x; return x }) // want `captures done \(chan int\): done is a channel, which cannot travel to executors; return the values`
}

func BadFile(r rdd.RDD[string], f *os.File) rdd.RDD[int] {
	return rdd.Map(r, func(s string) int { n, _ := f.WriteString(s); return n }) // want `captures f \(\*os.File\): f is an open file, which cannot travel to executors; open it inside the function`
}

func BadContext(ctx context.Context, r rdd.RDD[int]) rdd.RDD[bool] {
	return rdd.Map(r, func(int) bool { return ctx.Err() == nil }) // want `captures ctx \(context.Context\): ctx is a context, which cannot travel`
}

func BadCancel(ctx context.Context, r rdd.RDD[int]) rdd.RDD[bool] {
	_, cancel := context.WithCancel(ctx)
	return rdd.Map(r, func(int) bool { cancel(); return true }) // want `cancel is a context`
}

func BadMutex(r rdd.RDD[int]) rdd.RDD[int] {
	var mu sync.Mutex
	return rdd.Map(r, func(x int) int { mu.Lock(); defer mu.Unlock(); return x }) // want `captures mu \(sync.Mutex\): mu is a lock`
}

func BadWaitGroup(r rdd.RDD[int], wg *sync.WaitGroup) rdd.RDD[int] {
	return rdd.Map(r, func(x int) int { wg.Done(); return x }) // want `wg is a wait group`
}

func BadAtomic(r rdd.RDD[int]) rdd.RDD[int] {
	var n atomic.Int64
	return rdd.Map(r, func(x int) int { n.Add(1); return x }) // want `n is an atomic, which cannot travel to executors; executors share no memory with the driver; use an accumulator`
}

func BadConnection(r rdd.RDD[string], c net.Conn) rdd.RDD[int] {
	return rdd.Map(r, func(s string) int { n, _ := c.Write([]byte(s)); return n }) // want `c is a network connection`
}

func BadTransport(r rdd.RDD[string], c *http.Transport) rdd.RDD[bool] {
	return rdd.Map(r, func(s string) bool { return c.DisableKeepAlives }) // want `captures c \(\*http.Transport\) for c.DisableKeepAlives \(bool\): bind the field`
}

func BadClient(r rdd.RDD[string], t *http.Transport) rdd.RDD[bool] {
	return rdd.Map(r, func(s string) bool { t.CloseIdleConnections(); return true }) // want `t is a client with open connections`
}

func BadCommand(r rdd.RDD[string], c exec.Cmd) rdd.RDD[bool] {
	return rdd.Map(r, rdd.Bind(c, func(c exec.Cmd, s string) bool { return c.Path == s })) // want `c is a running process \(exec.Cmd\)`
}

type ownContext struct{ context.Context }

func BadOwnContext(r rdd.RDD[string], c ownContext) rdd.RDD[bool] {
	return rdd.Map(r, rdd.Bind(c, func(c ownContext, s string) bool { return true })) // want `c is a context \(ownContext\)`
}

func BadHandle(r rdd.RDD[string], h unique.Handle[string]) rdd.RDD[bool] {
	return rdd.Map(r, rdd.Bind(h, func(h unique.Handle[string], s string) bool { return true })) // want `h is an address of this process`
}

func GoodAddress(r rdd.RDD[string], a netip.Addr) rdd.RDD[bool] {
	return rdd.Map(r, rdd.Bind(a, func(a netip.Addr, s string) bool { return a.String() == s }))
}

func GoodClient(r rdd.RDD[string], c *http.Client) rdd.RDD[bool] {
	return rdd.Map(r, rdd.Bind(c, func(c *http.Client, s string) bool { _, err := c.Get(s); return err == nil }))
}

type counted struct {
	n     atomic.Int64
	names []string
}

func GoodAtomicInside(r rdd.RDD[int], c *counted) rdd.RDD[string] {
	return rdd.Map(r, rdd.Bind(c, func(c *counted, x int) string { return c.names[x] }))
}

func BadDatabase(r rdd.RDD[string], db *sql.DB) rdd.RDD[bool] {
	return rdd.Map(r, func(s string) bool { _, err := db.Exec(s); return err == nil }) // want `db is a database handle`
}

func BadWriter(r rdd.RDD[string]) rdd.RDD[int] {
	w := bufio.NewWriter(os.Stdout)
	return rdd.Map(r, func(s string) int { n, _ := w.WriteString(s); return n }) // want `w is a stream over something open`
}

func BadLogger(r rdd.RDD[string], log *slog.Logger) rdd.RDD[string] {
	return rdd.Map(r, func(s string) string { log.Info(s); return s }) // want `log is a logger`
}

func BadTimer(r rdd.RDD[int]) rdd.RDD[int] {
	t := time.NewTicker(time.Second)
	return rdd.Map(r, func(x int) int { t.Stop(); return x }) // want `t is a timer`
}

func BadDriverContext(sc *driver.Context, r rdd.RDD[int]) rdd.RDD[int] {
	return rdd.Map(r, func(x int) int { return sc.DefaultPartitions() }) // want `captures sc \(\*driver.Context\): sc is an object of the driver`
}

func BadSession(s rdd.Session, r rdd.RDD[int]) rdd.RDD[int] {
	return rdd.Map(r, func(x int) int { return s.DefaultPartitions() }) // want `s is an object of the driver`
}

func BadFieldOfStruct(r rdd.RDD[string], j job) rdd.RDD[int] {
	return rdd.Map(r, func(s string) int { n, _ := j.out.WriteString(s); return n }) // want `captures j \(job\) for j.out \(\*os.File\): j.out is an open file, which cannot`
}

func BadWholeStruct(r rdd.RDD[string], j job) rdd.RDD[int] {
	return rdd.Map(r, func(s string) int { return use(j) }) // want `captures j \(job\): j.out is an open file \(\*os.File\)`
}

func BadDeep(r rdd.RDD[string], f *fleet) rdd.RDD[int] {
	return rdd.Map(r, func(s string) int { return len(f.jobs) }) // want `captures f \(\*fleet\) for f.jobs \(map\[string\]\[\]\*job\): f.jobs\[…\]\[…\].out is an open file \(\*os.File\)`
}

func BadMixed(r rdd.RDD[string], j job, n int) rdd.RDD[int] {
	return rdd.Map(r, func(s string) int { return use(j) + n }) // want `captures j \(job\) and n \(int\): j.out is an open file`
}

func use(j job) int { return len(j.name) }

func BadBound(r rdd.RDD[string], f *os.File) rdd.RDD[int] {
	return rdd.Map(r, rdd.Bind(f, func(f *os.File, s string) int { return len(s) })) // want `environment given to rdd.Bind: f is an open file \(\*os.File\), which cannot travel`
}

func BadBoundStruct(r rdd.RDD[string], j *job) rdd.RDD[int] {
	return rdd.Map(r, rdd.Bind(j, func(j *job, s string) int { return use(*j) })) // want `environment given to rdd.Bind: j.out is an open file`
}

func BadBoundLiteral(r rdd.RDD[string], ctx context.Context) rdd.RDD[int] {
	type env struct {
		ctx context.Context
		n   int
	}
	return rdd.Map(r, rdd.Bind(env{ctx, 1}, func(e env, s string) int { return e.n })) // want `environment given to rdd.Bind: env.ctx is a context \(context.Context\)`
}

func BadBoundMapKey(r rdd.RDD[string], open map[net.Conn]bool) rdd.RDD[int] {
	return rdd.Map(r, rdd.Bind(open, func(open map[net.Conn]bool, s string) int { return len(open) })) // want `a key of open is a network connection`
}

func BadBoundChannels(r rdd.RDD[int], outs [4]chan int) rdd.RDD[int] {
	return rdd.Map(r, rdd.Bind(outs, func(outs [4]chan int, x int) int { return len(outs) })) // want `outs\[…\] is a channel \(chan int\)`
}

func BadBoundDataset(r, other rdd.RDD[int]) rdd.RDD[int] {
	return rdd.Map(r, rdd.Bind(other, func(other rdd.RDD[int], x int) int { return x })) // want `other is a dataset \(rdd.RDD\[int\]\), which cannot travel to executors; functions cannot use datasets`
}

type caller struct {
	Suffix string
	Out    *os.File
}

func (c caller) Call(s string) int { return len(s + c.Suffix) }

func BadCall(r rdd.RDD[string], out *os.File) rdd.RDD[int] {
	return rdd.Map(r, rdd.Call(caller{"x", out})) // want `environment given to rdd.Call: env.Out is an open file`
}

func BadBoundFunction(r rdd.RDD[int], n int) rdd.RDD[int] {
	type env struct{ f func(int) int }
	return rdd.Map(r, rdd.Bind(env{func(x int) int { return x + n }}, func(e env, x int) int { return e.f(x) })) // want `function given to rdd.Bind captures n \(int\): bind it with rdd.Bind`
}

type plain struct {
	Name string
	Rows [][]float64
	At   time.Time
	Re   *regexp.Regexp
	Tail *list
	F    func(int) int
	Any  any
}

func GoodBound(r rdd.RDD[int], p *plain) rdd.RDD[int] {
	return rdd.Map(r, rdd.Bind(p, func(p *plain, x int) int { return len(p.Rows) + x }))
}

func GoodHandles(r rdd.RDD[int], b rdd.Broadcast[[]int], a *rdd.Accumulator[int]) rdd.RDD[int] {
	type env struct {
		b rdd.Broadcast[[]int]
		a *rdd.Accumulator[int]
	}
	return rdd.Map(r, rdd.Bind(env{b, a}, func(e env, x int) int { e.a.Add(1); return e.b.Value()[x] }))
}

func GoodRandom(r rdd.RDD[int], rng *rand.Rand) rdd.RDD[int] {
	return rdd.Map(r, rdd.Bind(rng, func(rng *rand.Rand, x int) int { return rng.IntN(x) }))
}

func GoodOpenedInside(r rdd.RDD[string]) rdd.RDD[int] {
	return rdd.Map(r, func(name string) int {
		f, err := os.Open(name)
		if err != nil {
			return 0
		}
		defer f.Close()
		var mu sync.Mutex
		mu.Lock()
		defer mu.Unlock()
		return 1
	})
}

func GoodCall(r rdd.RDD[string]) rdd.RDD[int] {
	return rdd.Map(r, rdd.Call(suffixed{"x"}))
}

type sealed struct{ mu sync.Mutex }

func (*sealed) MarshalBinary() ([]byte, error) { return nil, nil }
func (*sealed) UnmarshalBinary([]byte) error   { return nil }

func GoodMarshalsItself(r rdd.RDD[int], s *sealed) rdd.RDD[int] {
	return rdd.Map(r, rdd.Bind(s, func(s *sealed, x int) int { return x }))
}

type suffixed struct{ Suffix string }

func (s suffixed) Call(x string) int { return len(x + s.Suffix) }

func GoodBoundNamedFunction(r rdd.RDD[int]) rdd.RDD[int] {
	return rdd.Map(r, rdd.Bind(double, func(f func(int) int, x int) int { return f(x) }))
}

func double(x int) int { return 2 * x }
