// Package driver has the signatures of the real package, for the analyser's tests.
package driver

type Context struct{ events chan int }

type Option func(*Context)

func New(opts ...Option) *Context             { return nil }
func Name(s string) Option                    { return func(*Context) {} }
func (c *Context) DefaultPartitions() int     { return 1 }
func (c *Context) Stop()                      {}
func (c *Context) AddListener(f func(string)) {}
