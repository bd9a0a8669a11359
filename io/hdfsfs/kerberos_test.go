package hdfsfs_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	krb "github.com/jcmturner/gokrb5/v8/client"
	krbconfig "github.com/jcmturner/gokrb5/v8/config"
	"github.com/jcmturner/gokrb5/v8/keytab"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"

	"github.com/spark-go/spark-go/io/hdfsfs"
)

// secure returns the options for the test server with Kerberos.
func secure(t *testing.T) hdfsfs.Options {
	t.Helper()
	dir := os.Getenv("SPARK_GO_TEST_HDFS_SECURE")
	if dir == "" {
		t.Skip(`no HDFS with Kerberos to test with: .ci/servers start && .ci/servers start kdc secure-namenode secure-datanode && eval "$(.ci/servers env)"`)
	}
	return hdfsfs.Options{ConfDir: filepath.Join(dir, "conf"), Krb5Conf: filepath.Join(dir, "kdc", "krb5.conf"), Keytab: filepath.Join(dir, "keytab")}
}

func open(t *testing.T, o hdfsfs.Options) *hdfsfs.FS {
	t.Helper()
	f, err := hdfsfs.New("", o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestKerberosKeytab(t *testing.T) {
	o := secure(t)
	o.Principal = "nn/localhost" // the superuser
	f := open(t, o)
	want := content(1, 40<<20+17)
	write(t, f, "/keytab/file", want)
	if !bytes.Equal(read(t, f, "/keytab/file"), want) {
		t.Error("other bytes")
	}
	small := make([]byte, 100)
	r, err := f.Open(t.Context(), "/keytab/file")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if n, err := r.ReadAt(small, 17<<20-50); n != 100 || err != nil || !bytes.Equal(small, want[17<<20-50:17<<20+50]) {
		t.Errorf("a small read: %d, %v", n, err)
	}
	blocks, err := f.Locations(t.Context(), "/keytab/file", 0, int64(len(want)))
	for range 5 {
		if err == nil { // the server's first answer may take longer than the client waits
			break
		}
		blocks, err = f.Locations(t.Context(), "/keytab/file", 0, int64(len(want)))
	}
	if err != nil || len(blocks) != 3 {
		t.Errorf("locations: %v, %v", blocks, err)
	}
	// Alice may not write here, and is told so.
	o.Principal = "alice@EXAMPLE.COM"
	alice := open(t, o)
	_, err = alice.Stat(t.Context(), "/keytab/file")
	if err != nil {
		t.Error(err)
	}
	if err := alice.MkdirAll(t.Context(), "/keytab/alice"); !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "alice") {
		t.Errorf("alice makes a directory of another's: %v", err)
	}
	began := time.Now()
	w, err := alice.Create(t.Context(), "/keytab/other")
	if err == nil {
		err = w.Close()
	}
	if !errors.Is(err, fs.ErrPermission) || time.Since(began) > 5*time.Second {
		t.Errorf("alice makes a file in a directory of another's: %v after %v", err, time.Since(began))
	}
	o.Principal = "bob@EXAMPLE.COM"
	if _, err := open(t, o).Stat(t.Context(), "/"); err == nil || !strings.Contains(err.Error(), "bob") || !strings.Contains(err.Error(), "keytab") {
		t.Errorf("someone who is not in the keytab: %v", err)
	}
}

func TestKerberosMissing(t *testing.T) {
	o := secure(t)
	b, err := os.ReadFile(filepath.Join(o.ConfDir, "core-site.xml"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "hdfs://")
	authority, _, _ := strings.Cut(rest, "<")
	f, err := hdfsfs.New(authority, hdfsfs.Options{User: "alice", ConfDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	_, err = f.Stat(t.Context(), "/")
	if err == nil || !strings.Contains(err.Error(), "Kerberos") || !strings.Contains(err.Error(), "HADOOP_CONF_DIR") {
		t.Errorf("a client without Kerberos: %v", err)
	}
	t.Logf("after %v: %v", time.Since(began), err)
}

func TestKerberosTicketCache(t *testing.T) {
	o := secure(t)
	cache := filepath.Join(t.TempDir(), "cache")
	kinit(t, o, cache, "alice")
	o.Keytab, o.TicketCache = "", "FILE:"+cache
	f := open(t, o)
	if _, err := f.Stat(t.Context(), "/"); err != nil {
		t.Error(err)
	}
	if err := f.MkdirAll(t.Context(), "/alice"); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("alice makes a directory of another's: %v", err)
	}
	if err := os.Remove(cache); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if _, err := f.Stat(t.Context(), "/"); err == nil || !strings.Contains(err.Error(), "kinit") {
		t.Errorf("without the cache: %v", err)
	}
}

// kinit does what the program of that name does: it gets a ticket-granting ticket and writes it into a cache.
func kinit(t *testing.T, o hdfsfs.Options, cache, name string) {
	t.Helper()
	conf, err := krbconfig.Load(o.Krb5Conf)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := keytab.Load(o.Keytab)
	if err != nil {
		t.Fatal(err)
	}
	realm := conf.LibDefaults.DefaultRealm
	client := krb.NewWithKeytab(name, realm, keys, conf, krb.DisablePAFXFAST(true))
	defer client.Destroy()
	user := types.PrincipalName{NameType: 1, NameString: []string{name}}
	ask, err := messages.NewASReqForTGT(realm, conf, user)
	if err != nil {
		t.Fatal(err)
	}
	got, err := client.ASExchange(realm, ask, 0)
	if err != nil {
		t.Fatal(err)
	}
	ticket, err := got.Ticket.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	var b []byte
	u32 := func(n int) { b = binary.BigEndian.AppendUint32(b, uint32(n)) }
	data := func(s string) { u32(len(s)); b = append(b, s...) }
	principal := func(p types.PrincipalName) {
		u32(int(p.NameType))
		u32(len(p.NameString))
		data(realm)
		for _, s := range p.NameString {
			data(s)
		}
	}
	b = append(b, 5, 4, 0, 0) // version 4 of the format, no header fields
	principal(user)           // whose cache it is
	principal(user)           // the one credential: client, server, key, times
	principal(got.Ticket.SName)
	part := got.DecryptedEncPart
	b = binary.BigEndian.AppendUint16(b, uint16(part.Key.KeyType))
	data(string(part.Key.KeyValue))
	for _, at := range []time.Time{part.AuthTime, part.AuthTime, part.EndTime, part.EndTime} {
		u32(int(at.Unix()))
	}
	b = append(b, 0)                   // no session key of another
	b = append(b, part.Flags.Bytes...) // 32 bits
	u32(0)                             // no addresses
	u32(0)                             // no authorization data
	data(string(ticket))
	data("") // no second ticket
	if err := os.WriteFile(cache, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
