package storetest

import (
	"slices"
	"syscall"
	"testing"
	"time"
)

// spent is the processor time of this process.
func spent(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// Compare runs two things by turns, the plain one and ours, which both move so many bytes, and reports in per cent how fast ours is beside the plain one: speed%
// by the clock and cpu% by this process's processor time are medians of the pairs' quotients, which a busy machine disturbs less than times. MB/s
// and plain-MB/s are medians too.
func Compare(b *testing.B, bytes int64, plain, ours func()) {
	type measure struct{ clock, cpu float64 }
	take := func(f func()) measure {
		began, before := time.Now(), spent(b)
		f()
		return measure{time.Since(began).Seconds(), (spent(b) - before).Seconds()}
	}
	take(plain) // the servers' first run is slow
	take(ours)
	var speed, cpu, rate, plainRate []float64
	for i := 0; b.Loop(); i++ {
		var p, o measure
		if i%2 == 0 {
			p, o = take(plain), take(ours)
		} else {
			o, p = take(ours), take(plain)
		}
		speed, cpu = append(speed, 100*p.clock/o.clock), append(cpu, 100*p.cpu/max(o.cpu, 1e-9))
		rate, plainRate = append(rate, float64(bytes)/o.clock/1e6), append(plainRate, float64(bytes)/p.clock/1e6)
	}
	for unit, values := range map[string][]float64{"speed%": speed, "cpu%": cpu, "MB/s": rate, "plain-MB/s": plainRate} {
		slices.Sort(values)
		b.ReportMetric(values[len(values)/2], unit)
	}
	b.ReportMetric(0, "ns/op")
}
