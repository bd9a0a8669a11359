package driver

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// ErrInterrupted is the cause of jobs that an interrupt ended.
var ErrInterrupted = errors.New("interrupted")

// KeepSignals leaves interrupts (SIGINT, SIGTERM) to the program. Otherwise a first one stops the context: jobs end with
// ErrStopped, executors and files go, and the process then ends as the signal would have ended it.
func KeepSignals() Option { return Set("spark.driver.handleSignals", "false") }

// watchSignals stops the context and then the process when it is interrupted.
func (c *Context) watchSignals() {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	c.closers = append(c.closers, func() { signal.Stop(signals) })
	go func() {
		select {
		case s := <-signals:
			fmt.Fprintf(os.Stderr, "\n%v: stopping jobs and executors\n", s)
			c.interrupted.Store(true)
			c.stop()
			// Die by the same signal, so that whoever started the program sees how it ended.
			signal.Reset(s)
			if p, err := os.FindProcess(os.Getpid()); err == nil {
				_ = p.Signal(s)
			}
		case <-c.stopped:
		}
	}()
}
