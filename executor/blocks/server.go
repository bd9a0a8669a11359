package blocks

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"github.com/spark-go/spark-go/executor/protocol"
	"github.com/spark-go/spark-go/shuffle"
)

// ServerConfig says what a server serves. Files and Provider may be nil: such blocks are then not found.
type ServerConfig struct {
	Files    Files
	Provider Provider
	Timeout  time.Duration // how long a client may take nothing of its answer; default DefaultTimeout
	Log      *slog.Logger  // default slog.Default()
}

// Server serves blocks until Close.
type Server struct {
	config ServerConfig
	ln     *protocol.Listener

	mu      sync.Mutex
	closed  bool
	conns   map[net.Conn]bool
	running sync.WaitGroup
}

// Serve listens on an address, as protocol.Listen does, and serves blocks to whoever proves the secret.
func Serve(addr string, secret protocol.Secret, config ServerConfig) (*Server, error) {
	if config.Timeout <= 0 {
		config.Timeout = DefaultTimeout
	}
	if config.Log == nil {
		config.Log = slog.Default()
	}
	ln, err := protocol.Listen(addr, secret, protocol.Blocks, config.Log)
	if err != nil {
		return nil, fmt.Errorf("serve blocks: %w", err)
	}
	s := &Server{config: config, ln: ln, conns: map[net.Conn]bool{}}
	s.running.Go(func() { ln.Serve(s.handle) })
	return s, nil
}

// Addr returns the address that clients dial.
func (s *Server) Addr() string { return s.ln.Addr() }

// Close stops serving: connections are ended, and everything of the server has ended when it returns.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	for nc := range s.conns {
		nc.Close()
	}
	s.mu.Unlock()
	err := s.ln.Close()
	s.running.Wait()
	return err
}

func (s *Server) handle(nc net.Conn) {
	defer nc.Close()
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.conns[nc] = true
	s.running.Add(1)
	s.mu.Unlock()
	defer s.running.Done()
	defer func() {
		s.mu.Lock()
		delete(s.conns, nc)
		s.mu.Unlock()
	}()
	buf := make([]byte, answerSize+smallBlock)
	for {
		q, err := readRequest(nc, buf)
		if err == nil {
			err = s.answer(nc, &q, buf)
		}
		if err != nil {
			if err != io.EOF && !errors.Is(err, net.ErrClosed) {
				s.config.Log.Debug("a block connection ended", "address", s.ln.Addr(), "error", err)
			}
			return
		}
	}
}

// readRequest waits for a request, for as long as the client likes: idle connections wait in its pool.
func readRequest(nc net.Conn, buf []byte) (request, error) {
	if err := nc.SetReadDeadline(time.Time{}); err != nil {
		return request{}, err
	}
	if _, err := io.ReadFull(nc, buf[:4]); err != nil {
		return request{}, err
	}
	n := binary.LittleEndian.Uint32(buf)
	if n > maxRequest {
		return request{}, fmt.Errorf("%w: %d bytes are more than %d", errMalformed, n, maxRequest)
	}
	if err := nc.SetReadDeadline(time.Now().Add(protocol.HandshakeTimeout)); err != nil {
		return request{}, err
	}
	if _, err := io.ReadFull(nc, buf[:n]); err != nil {
		return request{}, err
	}
	return parseRequest(buf[:n])
}

// answer sends what was asked for. An error means that the connection is of no use any more.
func (s *Server) answer(nc net.Conn, q *request, buf []byte) error {
	if err := nc.SetWriteDeadline(time.Now().Add(s.config.Timeout)); err != nil {
		return err
	}
	switch {
	case q.op == askMap && s.config.Files != nil:
		f, offset, length, err := s.config.Files(q.shuffle, q.mapN, q.attempt, q.start, q.end)
		if err != nil {
			return refuse(nc, err)
		}
		defer f.Close()
		return s.sendFile(nc, f, offset, length, buf)
	case q.op == askCheck && s.config.Files != nil:
		f, offset, length, err := s.config.Files(q.shuffle, q.mapN, q.attempt, q.start, q.end)
		if err != nil {
			return refuse(nc, err)
		}
		defer f.Close()
		if err := shuffle.VerifyBlocks(io.NewSectionReader(f, offset, length), length); err != nil {
			return refuse(nc, fmt.Errorf("%s: %w", f.Name(), err))
		}
		_, err = nc.Write(appendAnswer(buf[:0], found, 0))
		return err
	case q.op == askName && s.config.Provider != nil:
		r, length, err := s.config.Provider.Open(q.name)
		if err != nil {
			return refuse(nc, err)
		}
		defer r.Close()
		if f, ok := r.(*os.File); ok {
			offset, err := f.Seek(0, io.SeekCurrent)
			if err == nil {
				return s.sendFile(nc, f, offset, length, buf)
			}
		}
		return s.sendReader(nc, r, length, buf)
	}
	return refuse(nc, fmt.Errorf("no such blocks are served here: %w", fs.ErrNotExist))
}

func appendAnswer(b []byte, status byte, length int64) []byte {
	return binary.LittleEndian.AppendUint64(append(b, status), uint64(length))
}

// refuse says why there is no data.
func refuse(nc net.Conn, cause error) error {
	status := byte(failed)
	if errors.Is(cause, fs.ErrNotExist) {
		status = notFound
	}
	reason := cause.Error()
	reason = reason[:min(len(reason), maxReason)]
	_, err := nc.Write(append(appendAnswer(nil, status, int64(len(reason))), reason...))
	return err
}

func (s *Server) sendFile(nc net.Conn, f *os.File, offset, length int64, buf []byte) error {
	if length <= smallBlock {
		head := appendAnswer(buf[:0], found, length)
		data := buf[:len(head)+int(length)]
		if n, err := f.ReadAt(data[len(head):], offset); n < int(length) {
			return refuse(nc, fmt.Errorf("read %d bytes at %d of %s: %w", length, offset, f.Name(), err))
		}
		_, err := nc.Write(data)
		return err
	}
	if _, err := nc.Write(appendAnswer(buf[:0], found, length)); err != nil {
		return err
	}
	for length > 0 {
		if err := nc.SetWriteDeadline(time.Now().Add(s.config.Timeout)); err != nil {
			return err
		}
		n, err := sendFilePiece(nc, f, offset, min(length, streamPiece))
		if err != nil {
			return fmt.Errorf("send %s: %w", f.Name(), err)
		}
		offset += n
		length -= n
	}
	return nil
}

func (s *Server) sendReader(nc net.Conn, r io.Reader, length int64, buf []byte) error {
	head := appendAnswer(buf[:0], found, length)
	for first := true; first || length > 0; first = false {
		n := min(int64(len(buf)-len(head)), length)
		data := buf[:len(head)+int(n)]
		if _, err := io.ReadFull(r, data[len(head):]); err != nil {
			return fmt.Errorf("read a block: %w", err)
		}
		if err := nc.SetWriteDeadline(time.Now().Add(s.config.Timeout)); err != nil {
			return err
		}
		if _, err := nc.Write(data); err != nil {
			return err
		}
		length -= n
		head = nil
	}
	return nil
}
