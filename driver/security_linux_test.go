package driver_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/driver/cluster"
	"github.com/spark-go/spark-go/executor/protocol"
	"github.com/spark-go/spark-go/rdd"
	"github.com/spark-go/spark-go/shuffle/seal"
)

// family lists this process and everything that it started, directly or not.
func family(t *testing.T) []int {
	t.Helper()
	parents := map[int]int{}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile(filepath.Join("/proc", e.Name(), "stat"))
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(stat), ") ")
		if f := strings.Fields(rest); len(f) > 1 {
			parents[pid], _ = strconv.Atoi(f[1])
		}
	}
	pids := []int{os.Getpid()}
	for i := 0; i < len(pids); i++ {
		for pid, parent := range parents {
			if parent == pids[i] {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// openListener is a listening socket of a process.
type openListener struct {
	pid              int
	network, address string
}

// listeners lists the listening sockets of processes, as the kernel knows them.
func listeners(t *testing.T, pids []int) (found []openListener) {
	t.Helper()
	owner := map[string]int{} // by inode
	for _, pid := range pids {
		dir := fmt.Sprintf("/proc/%d/fd", pid)
		fds, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, fd := range fds {
			link, _ := os.Readlink(filepath.Join(dir, fd.Name()))
			if inode, ok := strings.CutPrefix(link, "socket:["); ok {
				owner[strings.TrimSuffix(inode, "]")] = pid
			}
		}
	}
	table := func(name string, row func(f []string)) {
		f, err := os.Open("/proc/net/" + name)
		if err != nil {
			return // no IPv6
		}
		defer f.Close()
		for s := bufio.NewScanner(f); s.Scan(); {
			row(strings.Fields(s.Text()))
		}
	}
	for _, name := range []string{"tcp", "tcp6"} {
		table(name, func(f []string) {
			if len(f) < 10 || f[3] != "0A" || owner[f[9]] == 0 {
				return
			}
			found = append(found, openListener{owner[f[9]], "tcp", hexAddress(f[1])})
		})
	}
	table("unix", func(f []string) {
		const accepting = 0x10000
		if len(f) < 7 || owner[f[6]] == 0 {
			return
		}
		if flags, _ := strconv.ParseUint(f[3], 16, 32); flags&accepting == 0 {
			return
		}
		path := "(no name)"
		if len(f) > 7 {
			path = f[7]
		}
		found = append(found, openListener{owner[f[6]], "unix", path})
	})
	return found
}

// hexAddress reads an address of /proc/net/tcp: words of an IP address in the machine's order, and a port.
func hexAddress(s string) string {
	host, port, _ := strings.Cut(s, ":")
	var ip net.IP
	for i := 0; i+8 <= len(host); i += 8 {
		w, _ := strconv.ParseUint(host[i:i+8], 16, 32)
		ip = append(ip, byte(w), byte(w>>8), byte(w>>16), byte(w>>24))
	}
	p, _ := strconv.ParseUint(port, 16, 16)
	return net.JoinHostPort(ip.String(), fmt.Sprint(p))
}

// stranger tries what somebody without the secret could, and says what a listener gave away.
func stranger(l openListener) error {
	dial := func() (net.Conn, error) {
		nc, err := net.DialTimeout(l.network, l.address, 5*time.Second)
		if err == nil {
			err = nc.SetDeadline(time.Now().Add(protocol.HandshakeTimeout + 3*time.Second))
		}
		return nc, err
	}
	nc, err := dial()
	if err != nil {
		return fmt.Errorf("it does not take connections: %w", err)
	}
	defer nc.Close()
	_, _ = nc.Write([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + strings.Repeat("\x00", 200)))
	answer, err := io.ReadAll(nc)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return errors.New("it keeps the connection of somebody who proves nothing")
	}
	if len(answer) > 16 { // a TLS alert is shorter
		return fmt.Errorf("it answers %q", answer)
	}
	raw, err := dial()
	if err != nil {
		return err
	}
	defer raw.Close()
	secure := tls.Client(raw, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}) //nolint:gosec // it plays the attacker
	if secure.Handshake() == nil {
		if n, err := secure.Read(make([]byte, 100)); err == nil {
			return fmt.Errorf("it talks to somebody without a certificate: %d bytes", n)
		}
	}
	for _, secured := range []string{"", "tls+"} {
		for _, purpose := range []protocol.Purpose{protocol.Control, protocol.Blocks} {
			nc, err := protocol.Dial(context.Background(), secured+l.network+":"+l.address, protocol.NewSecret(), purpose)
			if err == nil {
				nc.Close()
				return errors.New("it takes another application's secret")
			}
		}
	}
	return nil
}

// Every socket on which any process of an application listens is this machine's alone, and demands the application's secret.
func TestEveryListenerDemandsAuthentication(t *testing.T) {
	for _, test := range []struct {
		name     string
		settings []driver.Option
		network  string // of the engine's own sockets; go-plugin's are unix sockets always
		secured  bool
	}{
		{"default", nil, "unix", false},
		{"encrypted", []driver.Option{driver.Set("spark.network.crypto.enabled", "true")}, "unix", true},
		{"TCP", []driver.Option{driver.Set("spark.driver.bindAddress", "127.0.0.1"), driver.Set("spark.shuffle.readHostLocalDisk", "false")}, "tcp", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			sc := driver.New(append(test.settings, driver.Master("local-cluster[2,1,128m]"))...)
			defer sc.Stop()
			if rows, err := keyed(sc, 3000).Count(t.Context()); err != nil || rows != 1000 {
				t.Fatalf("%d rows, %v", rows, err)
			}
			// The driver's two, one of each host, and of each job process its own and go-plugin's; the second executor may be starting still.
			var found []openListener
			for deadline := time.Now().Add(20 * time.Second); len(found) < 8 && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
				found = listeners(t, family(t))
			}
			byNetwork := map[string]int{}
			owners := map[int]bool{}
			var wait sync.WaitGroup
			for _, l := range found {
				byNetwork[l.network]++
				owners[l.pid] = true
				if host, _, err := net.SplitHostPort(l.address); l.network == "tcp" && (err != nil || !net.ParseIP(host).IsLoopback()) {
					t.Errorf("process %d listens on %s: not this machine's alone", l.pid, l.address)
				}
				if l.network == "unix" {
					if info, err := os.Stat(filepath.Dir(l.address)); err != nil || info.Mode().Perm() != 0o700 {
						t.Errorf("the socket %s lies where others may look: %v %v", l.address, info, err)
					}
				}
				wait.Go(func() {
					if err := stranger(l); err != nil {
						t.Errorf("process %d, %s %s: %v", l.pid, l.network, l.address, err)
					}
				})
			}
			wait.Wait()
			if len(found) < 8 || len(owners) != 5 || byNetwork[test.network] < 6 {
				t.Errorf("the test found %d listeners of %d processes, %v: it looks in the wrong place", len(found), len(owners), found)
			}
			// Strangers do no harm.
			if rows, err := keyed(sc, 3000).Count(t.Context()); err != nil || rows != 1000 {
				t.Errorf("afterwards: %d rows, %v", rows, err)
			}
		})
	}
}

// sniff listens on a device for packets that hold a marker. It returns how many there were until stop.
func sniff(t *testing.T, device string, marker []byte) (stop func() int64) {
	t.Helper()
	const everything = 0x0300 // ETH_P_ALL in network order
	fd, err := syscall.Socket(syscall.AF_PACKET, syscall.SOCK_RAW, everything)
	if err != nil {
		t.Skipf("not run: reading packets takes root: %v", err)
	}
	dev, err := net.InterfaceByName(device)
	if err == nil {
		err = syscall.Bind(fd, &syscall.SockaddrLinklayer{Protocol: everything, Ifindex: dev.Index})
	}
	if err == nil {
		err = syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &syscall.Timeval{Usec: 100_000})
	}
	if err != nil {
		t.Fatal(err)
	}
	_ = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_RCVBUF, 32<<20)
	var seen atomic.Int64
	var ended atomic.Bool
	var reader sync.WaitGroup
	reader.Go(func() {
		buf := make([]byte, 1<<17)
		for !ended.Load() {
			n, _, err := syscall.Recvfrom(fd, buf, 0)
			if err == nil && bytes.Contains(buf[:n], marker) {
				seen.Add(1)
			}
		}
	})
	return func() int64 {
		ended.Store(true)
		reader.Wait()
		_ = syscall.Close(fd)
		return seen.Load()
	}
}

// What a job moves - programs, their values, splits, map outputs, broadcasts, results - is readable on the wire when connections are plain, and
// never when they are encrypted.
func TestNothingIsReadableOnTheWire(t *testing.T) {
	marker := fmt.Sprintf("marker-%d-", os.Getpid())
	for _, encrypted := range []bool{false, true} {
		stop := sniff(t, "lo", []byte(marker))
		func() {
			sc := driver.New(driver.Master("local-cluster[2,1,128m]"), driver.Set("spark.driver.bindAddress", "127.0.0.1"),
				driver.Set("spark.shuffle.readHostLocalDisk", "false"), driver.Set("spark.shuffle.compress", "false"), driver.Set("spark.broadcast.compress", "false"),
				driver.Set("spark.network.crypto.enabled", fmt.Sprint(encrypted)))
			defer sc.Stop()
			value, err := rdd.NewBroadcast(sc, strings.Repeat(marker, 1000))
			if err != nil {
				t.Fatal(err)
			}
			rows := make([]string, 2000)
			for i := range rows {
				rows[i] = fmt.Sprint(marker, i%500)
			}
			type env struct {
				Bound string
				Value rdd.Broadcast[string]
			}
			pairs := rdd.Map(rdd.Parallelize(sc, rows, 4), rdd.Bind(env{marker, value}, func(e env, s string) rdd.Pair[string, int64] {
				return rdd.Pair[string, int64]{Key: e.Bound + s, Value: int64(len(e.Value.Value()))}
			}))
			sums, err := rdd.ReduceByKey(pairs, func(a, b int64) int64 { return a + b }, 4).Collect(t.Context())
			if err != nil || len(sums) != 500 || sums[0].Value != int64(4000*len(marker)) {
				t.Errorf("%d rows, %v", len(sums), err)
			}
		}()
		if n := stop(); (n > 0) == encrypted {
			t.Errorf("encrypted %v: %d packets with the marker", encrypted, n)
		}
	}
}

// The secret of an application with encrypted files, and the key that is made of it, are on no command line, in no environment, log, event or error, not in what executors
// print, and in none of the files.
func TestFileKeysAreNotShown(t *testing.T) {
	log, dir := logged(t), t.TempDir()
	var shown text
	restore := driver.ChangeCluster(func(c *cluster.Config) { c.Stderr = &shown })
	sc := driver.New(driver.Master("local-cluster[1,1,128m]"), driver.Set("spark.local.dir", dir), driver.Set("spark.io.encryption.enabled", "true"),
		driver.Set("spark.task.maxFailures", "1"), driver.Set("spark.log.level", "debug"))
	restore()
	defer sc.Stop()
	sc.AddListener(func(e driver.Event) { fmt.Fprintf(&shown, "%+v\n", e) })
	kept := keyed(sc, 3000).Persist(rdd.DiskOnly)
	if rows, err := kept.Count(t.Context()); err != nil || rows != 1000 {
		t.Fatalf("%d rows, %v", rows, err)
	}
	_, err := rdd.MapPartitionsWithTask(kept, func(task *rdd.Task, rows iter.Seq[rdd.Pair[int64, int64]]) (iter.Seq[int64], error) {
		fmt.Fprintf(os.Stderr, "%+v\n", task.ShuffleEnv())
		panic(fmt.Sprintf("on purpose: %+v %#v", task, task.ShuffleEnv()))
	}).Count(t.Context())
	fmt.Fprintln(&shown, err)
	if !strings.Contains(shown.String(), "on purpose") || !strings.Contains(shown.String(), "Key:(key)") {
		t.Errorf("the test looks in the wrong place: %s", shown.String())
	}
	for _, pid := range family(t) {
		for _, name := range []string{"cmdline", "environ"} {
			b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
			if name == "cmdline" && (err != nil || len(b) == 0) {
				t.Errorf("process %d: %v", pid, err)
			}
			shown.Write(b)
		}
	}
	files := 0
	filepath.WalkDir(dir, func(path string, e fs.DirEntry, _ error) error {
		if b, err := os.ReadFile(path); err == nil {
			files++
			shown.Write(b)
		}
		return nil
	})
	if files < 4 {
		t.Errorf("%d files: the test looks in the wrong place", files)
	}
	secret := sc.Secret()
	base, err := hkdf.Key(sha256.New, secret[:], nil, "spark-go temporary files", sha256.Size)
	if err != nil || !opens(t, base, secret[:]) {
		t.Fatalf("the test looks for another key: %v", err)
	}
	everything := shown.String() + log()
	for name, key := range map[string][]byte{"secret": secret[:], "key": base} {
		for _, form := range []string{string(key), fmt.Sprintf("%x", key), fmt.Sprintf("%X", key), base64.RawStdEncoding.EncodeToString(key), base64.RawURLEncoding.EncodeToString(key), strings.Trim(fmt.Sprintf("%d", key), "[]")} {
			if strings.Contains(everything, form) {
				t.Errorf("the %s is shown as %q", name, form)
			}
		}
	}
}

// opens says whether blocks are encrypted with keys made of base, where the application has this secret.
func opens(t *testing.T, base, secret []byte) bool {
	t.Helper()
	key, err := seal.Derive(secret, 256)
	if err != nil {
		t.Fatal(err)
	}
	w, err := key.NewWriter()
	if err != nil {
		t.Fatal(err)
	}
	block := w.Seal(make([]byte, seal.Prefix+4), 0, nil)
	own, err := hkdf.Expand(sha256.New, base, string(block[:16]), 32)
	if err != nil {
		t.Fatal(err)
	}
	c, err := aes.NewCipher(own)
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(c)
	if err != nil {
		t.Fatal(err)
	}
	_, err = gcm.Open(nil, append(slices.Clone(block[16:seal.Prefix]), 0, 0, 0, 0), block[seal.Prefix:], nil)
	return err == nil
}

// Whatever an application puts into its directories, at any moment, is for its user alone, also where the user's files are for all by default.
func TestTemporaryFilesArePrivate(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	dir := t.TempDir()
	temp, err := os.MkdirTemp("/tmp", "sg") // short enough for sockets
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(temp)
	t.Setenv("TMPDIR", temp)
	var stop atomic.Bool
	var mu sync.Mutex
	kinds := map[string]bool{}
	wrong := map[string]fs.FileMode{}
	look := func() {
		for _, root := range []string{dir, temp} {
			filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
				if err != nil || path == root {
					return nil
				}
				info, err := d.Info()
				if err != nil {
					return nil
				}
				mu.Lock()
				defer mu.Unlock()
				switch mode := info.Mode(); {
				case mode.IsDir():
					kinds["directory"] = true
					if mode.Perm() != 0o700 {
						wrong[path] = mode
					}
				case mode.IsRegular():
					kinds[strings.Trim(filepath.Ext(path), "0123456789")] = true
					if mode.Perm()&0o177 != 0 {
						wrong[path] = mode
					}
				case mode&fs.ModeSocket != 0:
					kinds["socket"] = true // private through its directory
				default:
					wrong[path] = mode
				}
				return nil
			})
		}
	}
	var watcher sync.WaitGroup
	watcher.Go(func() {
		for !stop.Load() {
			look()
			time.Sleep(2 * time.Millisecond)
		}
	})
	shared := filepath.Join(t.TempDir(), "shared.txt")
	if err := os.WriteFile(shared, []byte("shared"), 0o644); err != nil {
		t.Fatal(err)
	}
	func() {
		sc := driver.New(driver.Master("local-cluster[2,1,64m]"), driver.Set("spark.local.dir", dir), driver.Set("spark.files", shared))
		defer sc.Stop()
		kept := rdd.Map(rdd.Range(sc, 0, 2_000_000, 1, 4), func(x int64) rdd.Pair[int64, int64] {
			return rdd.Pair[int64, int64]{Key: x * 7919 % 1_000_003, Value: x}
		}).Persist(rdd.DiskOnly)
		sorted := rdd.SortByKey(kept, true, 3)
		if n, err := sorted.Count(t.Context()); err != nil || n != 2_000_000 {
			t.Errorf("%d rows, %v", n, err)
		}
		used := rdd.MapPartitionsWithTask(rdd.Range(sc, 0, 4, 1, 4), func(task *rdd.Task, rows iter.Seq[int64]) (iter.Seq[int64], error) {
			_, err := task.File("shared.txt")
			return rows, err
		})
		if n, err := used.Count(t.Context()); err != nil || n != 4 {
			t.Errorf("%d rows, %v", n, err)
		}
		look()
	}()
	stop.Store(true)
	watcher.Wait()
	for path, mode := range wrong {
		t.Errorf("%s has mode %v", path, mode)
	}
	for _, kind := range []string{"directory", "socket", ".data", ".index"} {
		if !kinds[kind] {
			t.Errorf("no %s was seen: the test looks in the wrong place; it saw %v", kind, kinds)
		}
	}
	left, _ := filepath.Glob(filepath.Join(dir, "*"))
	more, _ := filepath.Glob(filepath.Join(temp, "*"))
	if left = slices.Concat(left, more); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
