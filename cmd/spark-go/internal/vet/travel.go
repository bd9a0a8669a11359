package vet

import (
	"go/ast"
	"go/token"
	"go/types"

	"golang.org/x/tools/go/analysis"
)

// An obstacle is a value that means nothing in another process.
type obstacle struct {
	path   string // where it is, as in "job.out"
	typ    string
	whole  bool // path is the variable itself, whose type the message has already
	what   string
	remedy string
}

func (o *obstacle) String() string {
	s := o.path + " is " + o.what
	if !o.whole {
		s += " (" + o.typ + ")"
	}
	return s + ", which cannot travel to executors; " + o.remedy
}

type kind struct{ what, remedy string }

var (
	aFile       = kind{"an open file", "open it inside the function, once a partition with rdd.MapPartitions"}
	aConnection = kind{"a network connection", "open it inside the function, once a partition with rdd.MapPartitions"}
	aClient     = kind{"a client with open connections", "make it inside the function, once a partition with rdd.MapPartitions"}
	aDatabase   = kind{"a database handle", "open it inside the function, once a partition with rdd.MapPartitions"}
	aProcess    = kind{"a running process", "start it inside the function, once a partition with rdd.MapPartitions"}
	aStream     = kind{"a stream over something open", "open it inside the function, once a partition with rdd.MapPartitions"}
	aContext    = kind{"a context", "leave it out: the context of the action reaches the tasks by itself"}
	aLock       = kind{"a lock", "leave it out: executors share no memory with the driver; use an accumulator for shared results"}
	anAtomic    = kind{"an atomic", "executors share no memory with the driver; use an accumulator"}
	aWait       = kind{"a wait group", "leave it out: actions wait for their tasks"}
	aSyncMap    = kind{"a concurrent map", "executors share no memory with the driver; bind a plain map, or use an accumulator"}
	aPool       = kind{"a pool", "make it a package variable: each executor then has its own"}
	aTimer      = kind{"a timer", "start it inside the function"}
	aLogger     = kind{"a logger", "call the functions of log or slog inside the function: what they print reaches the driver"}
	aChannel    = kind{"a channel", "return the values, or use an action such as rdd.Foreach or rdd.Collect"}
	aDataset    = kind{"a dataset", "functions cannot use datasets; join the two, or collect one and broadcast it"}
	aDriver     = kind{"an object of the driver", "nothing of the driver exists on executors"}
	aTest       = kind{"a running test", "return values and check them on the driver"}
	aPointer    = kind{"an address of this process", "bind the value itself"}
)

// untravelled lists, by package and name, types whose values are tied to their
// process. Most of them the task codec refuses when the program runs; of the
// others, streams and atomics, a copy would be of no use. Atomics inside a
// larger value are let pass.
var untravelled = map[string]kind{
	"os.File": aFile, "os.Root": aFile, "io/fs.File": aFile,
	"os.Process":   aProcess,
	"bufio.Reader": aStream, "bufio.Writer": aStream, "bufio.ReadWriter": aStream, "bufio.Scanner": aStream,
	"compress/gzip.Reader": aStream, "compress/gzip.Writer": aStream, "encoding/csv.Reader": aStream, "encoding/csv.Writer": aStream,
	"encoding/json.Decoder": aStream, "encoding/json.Encoder": aStream, "encoding/gob.Decoder": aStream, "encoding/gob.Encoder": aStream,
	"io.PipeReader": aStream, "io.PipeWriter": aStream,

	"context.Context": aContext, "context.CancelFunc": aContext, "context.CancelCauseFunc": aContext,

	"sync.Mutex": aLock, "sync.RWMutex": aLock, "sync.Locker": aLock, "sync.Once": aLock, "sync.Cond": aLock,
	"sync.WaitGroup": aWait, "golang.org/x/sync/errgroup.Group": aWait,
	"golang.org/x/sync/singleflight.Group": aLock, "sync.Map": aSyncMap, "sync.Pool": aPool,
	"sync/atomic.Bool": anAtomic, "sync/atomic.Int32": anAtomic, "sync/atomic.Int64": anAtomic, "sync/atomic.Uint32": anAtomic,
	"sync/atomic.Uint64": anAtomic, "sync/atomic.Uintptr": anAtomic, "sync/atomic.Pointer": anAtomic, "sync/atomic.Value": anAtomic,

	"net.Conn": aConnection, "net.PacketConn": aConnection, "net.Listener": aConnection, "net.TCPConn": aConnection,
	"net.UDPConn": aConnection, "net.UnixConn": aConnection, "net.IPConn": aConnection, "net.TCPListener": aConnection,
	"net.UnixListener": aConnection, "net.Resolver": aClient, "crypto/tls.Conn": aConnection,
	"net/http.Transport": aClient, "net/http.Server": aClient,
	"net/http.Request": aConnection, "net/http.Response": aConnection, "net/http.ResponseWriter": aConnection,
	"net/rpc.Client": aClient, "google.golang.org/grpc.ClientConn": aClient, "google.golang.org/grpc.Server": aClient,
	"google.golang.org/grpc.ClientConnInterface": aClient,

	"database/sql.DB": aDatabase, "database/sql.Conn": aDatabase, "database/sql.Tx": aDatabase,
	"database/sql.Stmt": aDatabase, "database/sql.Rows": aDatabase, "database/sql.Row": aDatabase,

	"time.Timer": aTimer, "time.Ticker": aTimer,
	"log.Logger": aLogger, "log/slog.Logger": aLogger, "log/slog.Handler": aLogger,
	"testing.T": aTest, "testing.B": aTest, "testing.F": aTest, "testing.TB": aTest,
	"reflect.Value": aPointer, "plugin.Plugin": aPointer,
}

// untravelledPackages lists packages whose types are all tied to their process.
var untravelledPackages = map[string]kind{
	"sync": aLock, "os/exec": aProcess, "runtime": aPointer, "unique": aPointer, "weak": aPointer, "hash/maphash": aPointer,
}

// environment reports what an environment given to rdd.Bind or rdd.Call holds
// that cannot travel.
func (v *vetter) environment(env ast.Expr, op string, call token.Pos) {
	t := v.info.TypeOf(env)
	if t == nil || v.done[env] {
		return
	}
	name := "env"
	switch e := ast.Unparen(env).(type) {
	case *ast.Ident:
		name = e.Name
	case *ast.SelectorExpr:
		name = types.ExprString(e)
	case *ast.UnaryExpr:
		if id, ok := e.X.(*ast.Ident); ok && e.Op == token.AND {
			name = id.Name
		}
	}
	o := v.obstacleIn(t, name)
	if o == nil {
		return
	}
	v.done[env] = true
	o.whole = false
	v.add(call, analysis.Diagnostic{
		Pos: env.Pos(), End: env.End(), Category: categoryTravel,
		Message: "environment given to " + op + ": " + o.String(),
	})
}

// obstacleIn searches the values that a value of type t holds for one that
// cannot travel; name is what the value is called. Interfaces and functions are
// not searched: what they hold is known only when the program runs.
func (v *vetter) obstacleIn(t types.Type, name string) *obstacle {
	seen := make(map[types.Type]bool)
	var search func(t types.Type, path string) *obstacle
	search = func(t types.Type, path string) *obstacle {
		if k, ok := kindOf(t); ok && (k != anAtomic || path == name) {
			return &obstacle{path: path, typ: v.typeName(t), what: k.what, remedy: k.remedy}
		}
		t = types.Unalias(t)
		if seen[t] {
			return nil
		}
		seen[t] = true
		if isRDDHandle(t) {
			return nil // broadcasts and accumulators are made for travelling
		}
		switch u := t.Underlying().(type) {
		case *types.Pointer:
			o := search(u.Elem(), path)
			if o != nil && o.path == path {
				o.typ = v.typeName(t)
			}
			return o
		case *types.Slice:
			return search(u.Elem(), path+"[…]")
		case *types.Array:
			return search(u.Elem(), path+"[…]")
		case *types.Map:
			if o := search(u.Key(), "a key of "+path); o != nil {
				return o
			}
			return search(u.Elem(), path+"[…]")
		case *types.Struct:
			if marshalsItself(t) {
				return nil
			}
			for f := range u.Fields() {
				if o := search(f.Type(), path+"."+f.Name()); o != nil {
					return o
				}
			}
		}
		return nil
	}
	o := search(t, name)
	if o != nil && o.path == name {
		o.whole = true
	}
	return o
}

// marshalsItself reports whether t travels through its own MarshalBinary and
// UnmarshalBinary rather than field by field. Methods that an embedded field may
// have promoted do not count: they would drop the other fields.
func marshalsItself(t types.Type) bool {
	for _, name := range []string{"MarshalBinary", "UnmarshalBinary"} {
		if !hasMethod(t, name) {
			return false
		}
		s, ok := t.Underlying().(*types.Struct)
		for i := 0; ok && i < s.NumFields(); i++ {
			if f := s.Field(i); f.Embedded() && hasMethod(f.Type(), name) {
				return false
			}
		}
	}
	return true
}

// isContext reports whether a type has the methods of context.Context.
func isContext(t types.Type) bool {
	return hasMethod(t, "Deadline") && hasMethod(t, "Done") && hasMethod(t, "Err") && hasMethod(t, "Value")
}

func hasMethod(t types.Type, name string) bool {
	obj, _, _ := types.LookupFieldOrMethod(t, true, nil, name)
	_, ok := obj.(*types.Func)
	return ok
}

// kindOf says why values of type t itself cannot travel.
func kindOf(t types.Type) (kind, bool) {
	t = types.Unalias(t)
	if named, ok := t.(*types.Named); ok {
		obj := named.Obj()
		if obj.Pkg() == nil {
			return kind{}, false
		}
		if isDataset(named) {
			return aDataset, true
		}
		if isDriverObject(t) {
			return aDriver, true
		}
		if k, ok := untravelled[obj.Pkg().Path()+"."+obj.Name()]; ok {
			return k, true
		}
		if _, ok := t.Underlying().(*types.Struct); ok {
			if k, ok := untravelledPackages[obj.Pkg().Path()]; ok {
				return k, true
			}
			if isContext(t) {
				return aContext, true
			}
		}
	}
	switch u := t.Underlying().(type) {
	case *types.Chan:
		return aChannel, true
	case *types.Basic:
		if u.Kind() == types.UnsafePointer {
			return aPointer, true
		}
	}
	return kind{}, false
}
