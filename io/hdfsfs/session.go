package hdfsfs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/colinmarc/hdfs/v2"
	"github.com/colinmarc/hdfs/v2/hadoopconf"

	"github.com/spark-go/spark-go/io/filesys"
)

// Time limits. A DataNode's first one is short, because another replica is likely to answer; what is tried again gets
// four times as long, in case everything is slow.
const (
	dialLimit     = 5 * time.Second
	namenodeLimit = 30 * time.Second // of one read or write
	readLimit     = 3 * time.Second
	writeLimit    = 15 * time.Second
	maxLimit      = 2 * time.Minute
)

// How long what fails for lack of a connection is tried again.
const (
	namenodeWindow = time.Minute     // for a NameNode that was reached before
	firstWindow    = 3 * time.Second // for one that never was
)

// session is one client of the NameNode in the hands of one operation at a time. Between operations it may keep a file open
// where the last read ended.
type session struct {
	fs     *FS
	client *hdfs.Client
	reader *hdfs.FileReader
	file   *file  // what reader reads
	pos    int64  // where reader stands
	window []byte // bytes of file that were read ahead, which begin at windowAt
	at     int64
	idle   time.Time // since when

	mu      sync.Mutex
	ctx     context.Context // of the operation; nil between operations
	conns   map[*conn]struct{}
	data    *conn // the DataNode connection made last
	limit   time.Duration
	dialErr error  // why the last connection to a NameNode was not made
	asked   string // the NameNode that was dialled last
	writing bool   // a file is written
	lost    bool   // a connection to a NameNode failed: the client is of no use any more
}

// open makes a client and its connection to a NameNode.
func (f *FS) open(ctx context.Context) (*session, error) {
	s := &session{fs: f, ctx: ctx, conns: map[*conn]struct{}{}, limit: readLimit}
	defer func() {
		s.mu.Lock()
		s.ctx = nil
		s.mu.Unlock()
	}()
	c := f.cluster
	o := hdfs.ClientOptionsFromConf(hadoopconf.HadoopConf{"dfs.encrypt.data.transfer": strconv.FormatBool(c.encrypt)})
	o.Addresses = slices.Clone(c.namenodes)
	if p := f.preferred.Load(); p != nil { // first the one that answered last
		slices.SortStableFunc(o.Addresses, func(a, b string) int {
			if (a == *p) == (b == *p) {
				return 0
			} else if a == *p {
				return -1
			}
			return 1
		})
	}
	o.User = c.user
	o.UseDatanodeHostname = c.hostnames
	o.DataTransferProtection = c.protection
	o.NamenodeDialFunc, o.DatanodeDialFunc = s.dialNamenode, s.dialDatanode
	if f.krb != nil {
		login, err := f.krb.login()
		if err != nil {
			return nil, err
		}
		o.KerberosClient, o.KerberosServicePrincipleName = login, c.service
	}
	stop := context.AfterFunc(ctx, s.interrupt)
	defer stop()
	client, err := hdfs.NewClient(o)
	if err != nil {
		s.interrupt()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if s.dialErr != nil { // the client keeps only its text
			return nil, s.dialErr
		}
		return nil, err
	}
	s.client = client
	return s, nil
}

func (s *session) dialNamenode(_ context.Context, network, address string) (net.Conn, error) {
	s.mu.Lock()
	ctx := s.ctx
	s.asked = address
	s.lost = true // until the connection is made
	s.mu.Unlock()
	if ctx == nil { // the client wants to renew its leases, but between operations it has none
		return nil, net.ErrClosed
	}
	raw, err := (&net.Dialer{Timeout: dialLimit}).DialContext(ctx, network, address)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dialErr = err
	if err != nil {
		return nil, err
	}
	s.lost = false
	c := &conn{Conn: raw, session: s, limit: namenodeLimit, namenode: true}
	s.conns[c] = struct{}{}
	return c, nil
}

func (s *session) dialDatanode(_ context.Context, network, address string) (net.Conn, error) {
	s.mu.Lock()
	ctx, limit := s.ctx, s.limit
	s.mu.Unlock()
	if ctx == nil {
		return nil, net.ErrClosed
	}
	raw, err := (&net.Dialer{Timeout: min(limit, dialLimit)}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if s.fs.dialled != nil {
		s.fs.dialled(address)
	}
	c := &conn{Conn: raw, session: s, limit: limit, writing: s.writing}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns[c] = struct{}{}
	s.data = c
	return c, nil
}

// interrupt closes all connections, so that the operation ends now.
func (s *session) interrupt() {
	s.mu.Lock()
	conns := s.conns
	s.conns = map[*conn]struct{}{}
	s.lost = true
	s.mu.Unlock()
	for c := range conns {
		_ = c.Conn.Close() // nobody reads what it could still say
	}
}

// close ends a session that no operation uses.
func (s *session) close() {
	s.drop()
	s.interrupt()
	_ = s.client.Close()
}

// drop closes the open file.
func (s *session) drop() {
	if s.reader != nil {
		_ = s.reader.Close()
	}
	s.reader, s.file = nil, nil
	s.window = s.window[:0]
}

// run does one operation on the session with DataNode connections of the given limit. Cancelled, it returns the context's error.
func (s *session) run(ctx context.Context, limit time.Duration, op func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	s.ctx, s.limit = ctx, limit
	if s.data != nil {
		s.data.limit = limit
	}
	s.mu.Unlock()
	stop := context.AfterFunc(ctx, s.interrupt)
	err := op()
	if !stop() {
		s.interrupt() // it may not have begun
		err = ctx.Err()
	}
	s.mu.Lock()
	s.ctx = nil
	if !s.lost && (err == nil || isAnswer(err)) {
		asked := s.asked
		s.fs.reached.Store(true)
		s.fs.preferred.Store(&asked)
	}
	s.mu.Unlock()
	return err
}

func (s *session) usable() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.lost
}

// plain tells whether what the reader reads now comes through a connection that compares checksums itself.
func (s *session) plain() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.data != nil && s.data.packets != nil
}

// broken is why the DataNode connection that a file is written through failed, if it did.
func (s *session) broken() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.data == nil {
		return nil
	}
	return s.data.err
}

// abandon gives up the DataNode connection that a file is written through.
func (s *session) abandon() {
	s.mu.Lock()
	c := s.data
	s.mu.Unlock()
	if c != nil {
		c.fail(net.ErrClosed)
	}
}

// do runs an operation that asks the NameNode, again where it may help. The operation learns whether an earlier try may have
// been carried out although its answer did not come.
func (f *FS) do(ctx context.Context, op func(c *hdfs.Client, again bool) error) error {
	r := retry{fs: f}
	for again := false; ; again = true {
		lost := true
		s, err := f.pool.take(ctx, nil, 0)
		if err == nil {
			err = s.run(ctx, readLimit, func() error { return op(s.client, again) })
			lost = !s.usable()
			f.pool.put(s)
		}
		if err == nil || !transient(err, lost) || !r.wait(ctx, err) {
			return err
		}
	}
}

// retry decides how long something is tried again that failed for lack of a connection.
type retry struct {
	fs    *FS
	began time.Time
	pause time.Duration
}

// wait tells whether to try again, after the pause that it makes.
func (r *retry) wait(ctx context.Context, err error) bool {
	if ctx.Err() != nil {
		return false
	}
	now := time.Now()
	if r.began.IsZero() {
		r.began, r.pause = now, 50*time.Millisecond
	}
	window := firstWindow
	if r.fs.reached.Load() {
		window = namenodeWindow
	}
	if now.Sub(r.began)+r.pause > window {
		return false
	}
	slog.Debug("try the NameNode again", "file system", r.fs.uri, "after", r.pause, "error", err)
	if !sleep(ctx, r.pause) {
		return false
	}
	r.pause = min(2*r.pause, 2*time.Second)
	return true
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Exceptions of a NameNode that will answer later.
const (
	safeModeException  = "org.apache.hadoop.hdfs.server.namenode.SafeModeException"
	retriableException = "org.apache.hadoop.ipc.RetriableException"
	standbyException   = "org.apache.hadoop.ipc.StandbyException"
)

// transient tells whether an error may go away: that of a lost connection does, answers and mistakes do not.
func transient(err error, lost bool) bool {
	var remote hdfs.Error
	if errors.As(err, &remote) {
		switch remote.Exception() {
		case safeModeException, retriableException, standbyException:
			return true
		}
	}
	var dns *net.DNSError
	if isAnswer(err) || errors.As(err, &dns) && dns.IsNotFound || errors.Is(err, errKerberos) {
		return false
	}
	return lost
}

// isAnswer tells whether an error was made by the NameNode, or of its answer.
func isAnswer(err error) bool {
	var remote hdfs.Error
	if errors.As(err, &remote) {
		return true
	}
	for _, answer := range []error{fs.ErrNotExist, fs.ErrExist, fs.ErrPermission, fs.ErrInvalid, syscall.ENOTEMPTY, errIsDir, errNotDir, filesys.ErrChanged} {
		if errors.Is(err, answer) {
			return true
		}
	}
	return false
}

// explain adds to errors what their reader can do.
func (f *FS) explain(err error) error {
	var remote hdfs.Error
	var dns *net.DNSError
	if p, ok := err.(*fs.PathError); ok { //nolint:errorlint // only the outermost, whose path is told already
		err = p.Err
	}
	switch {
	case errors.As(err, &remote):
		return remoteError(remote)
	case errors.As(err, &dns):
		return fmt.Errorf("look up %s: %w: check the name in the URI; a nameservice needs HADOOP_CONF_DIR", dns.Name, err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("as user %s: %w: check the owner and mode of the path; HADOOP_USER_NAME chooses another user on clusters without Kerberos", f.cluster.user, fs.ErrPermission)
	case f.krb == nil && err.Error() == "unexpected sequence number":
		return fmt.Errorf("the NameNode refuses the login without Kerberos (%w): set HADOOP_CONF_DIR to the cluster's configuration, where hadoop.security.authentication is kerberos", err)
	case errors.Is(err, errKerberos) || errors.Is(err, errChecksum):
		return err
	case !f.reached.Load():
		return fmt.Errorf("connect to the NameNode %v: %w: check that the address is that of its RPC port and that it runs", f.cluster.namenodes, err)
	}
	return err
}

// javaError is an error of the NameNode or of a DataNode, without its Java stack.
type javaError struct {
	remote hdfs.Error
	text   string
}

func (e javaError) Error() string { return e.text }

func (e javaError) Unwrap() error {
	err, _ := e.remote.(error)
	return err
}

func remoteError(e hdfs.Error) error {
	class, message := e.Exception(), e.Message()
	for i := len(class) - 1; i >= 0; i-- {
		if class[i] == '.' {
			class = class[i+1:]
			break
		}
	}
	for i, c := range message {
		if c == '\n' {
			message = message[:i]
			break
		}
	}
	text := class
	if message != "" {
		text += ": " + message
	}
	if text == "" {
		text = e.Desc()
	}
	return javaError{e, "the NameNode says " + text}
}
