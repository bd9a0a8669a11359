package hdfsfs

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/spark-go/spark-go/io/filesys"
)

// confDir writes a configuration of key=value lines.
func confDir(t *testing.T, lines ...string) string {
	t.Helper()
	dir := t.TempDir()
	var b strings.Builder
	b.WriteString("<configuration>")
	for _, l := range lines {
		k, v, _ := strings.Cut(l, "=")
		b.WriteString("<property><name>" + k + "</name><value> " + v + "\n</value></property>")
	}
	b.WriteString("</configuration>")
	if err := os.WriteFile(filepath.Join(dir, "hdfs-site.xml"), []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestConfigure(t *testing.T) {
	for _, v := range []string{"HADOOP_CONF_DIR", "HADOOP_HOME", "HADOOP_USER_NAME", "KRB5CCNAME", "KRB5_CLIENT_KTNAME", "KRB5_CONFIG"} {
		t.Setenv(v, "")
	}
	ha := []string{
		"fs.defaultFS=hdfs://prod", "dfs.nameservices=prod,other",
		"dfs.ha.namenodes.prod=nn1, nn2", "dfs.namenode.rpc-address.prod.nn1=one:8021", "dfs.namenode.rpc-address.prod.nn2=two",
		"dfs.namenode.http-address.prod.nn1=one:50070", "dfs.namenode.http-address.prod.nn2=0.0.0.0:9870",
		"dfs.namenode.rpc-address.other=three:9000", "dfs.blocksize=256m", "dfs.replication=${my.copies}", "my.copies=2",
	}
	krb := []string{"hadoop.security.authentication=kerberos", "dfs.namenode.kerberos.principal=nn/_HOST@EXAMPLE.COM", "dfs.data.transfer.protection=privacy,authentication", "dfs.encrypt.data.transfer.cipher.suites=AES/CTR/NoPadding"}
	for _, c := range []struct {
		authority string
		conf      []string // nil: none
		nodes     []string
		web       []string
		err       string
	}{
		{authority: "nn:9000", nodes: []string{"nn:9000"}},
		{authority: "nn", nodes: []string{"nn:8020"}},
		{authority: "[::1]:9000", nodes: []string{"[::1]:9000"}},
		{authority: "", err: "HADOOP_CONF_DIR"},
		{authority: "nn:port", err: "port"},
		{authority: "nn:99999", err: "port"},
		{authority: "me@nn", err: "HADOOP_USER_NAME"},
		{authority: "", conf: ha, nodes: []string{"one:8021", "two:8020"}, web: []string{"http://one:50070", "http://two:9870"}},
		{authority: "prod", conf: ha, nodes: []string{"one:8021", "two:8020"}, web: []string{"http://one:50070", "http://two:9870"}},
		{authority: "other", conf: ha, nodes: []string{"three:9000"}},
		{authority: "elsewhere:1", conf: ha, nodes: []string{"elsewhere:1"}},
		{authority: "prod", conf: ha[:3], err: "dfs.namenode.rpc-address.prod.nn1"},
		{authority: "", conf: []string{"fs.defaultFS=file:///"}, err: "fs.defaultFS"},
		{authority: "", conf: []string{"fs.defaultFS=hdfs://nn:1", "dfs.namenode.http-address=nn:2"}, nodes: []string{"nn:1"}, web: []string{"http://nn:2"}},
		{authority: "nn", conf: []string{"dfs.blocksize=large"}, err: "dfs.blocksize"},
		{authority: "nn", conf: []string{"dfs.replication=0"}, err: "dfs.replication"},
		{authority: "nn", conf: krb, nodes: []string{"nn:8020"}},
		{authority: "nn", conf: krb[:1], err: "dfs.namenode.kerberos.principal"},
		{authority: "nn", conf: []string{"hadoop.security.authentication=token"}, err: "kerberos"},
		{authority: "nn", conf: append(krb[:2:2], "dfs.data.transfer.protection=none"), err: "dfs.data.transfer.protection"},
		{authority: "nn", conf: append(krb[:2:2], "dfs.data.transfer.protection=integrity"), err: "integrity"},
		{authority: "nn", conf: krb[:3], err: "cipher.suites"},
		{authority: "nn", conf: append(krb[:2:2], "dfs.encrypt.data.transfer=true"), err: "cipher.suites"},
	} {
		o := Options{User: "me"}
		if c.conf != nil {
			o.ConfDir = confDir(t, c.conf...)
		}
		got, err := configure(c.authority, o)
		switch {
		case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
			t.Errorf("%q: error %v, want one with %q", c.authority, err, c.err)
		case c.err == "" && err != nil:
			t.Errorf("%q: %v", c.authority, err)
		case c.err == "" && (!reflect.DeepEqual(got.namenodes, c.nodes) || !reflect.DeepEqual(got.web, c.web)):
			t.Errorf("%q: %v and %v, want %v and %v", c.authority, got.namenodes, got.web, c.nodes, c.web)
		case c.err == "" && got.kerberos && (got.service != "nn/_HOST" || got.protection != "privacy"):
			t.Errorf("%q: %+v", c.authority, got)
		}
	}
	got, err := configure("prod", Options{ConfDir: confDir(t, ha...)})
	if err != nil || got.blockSize != 256<<20 || got.replication != 2 || got.user == "" {
		t.Errorf("%+v, %v", got, err)
	}
	t.Setenv("HADOOP_USER_NAME", "etl")
	t.Setenv("HADOOP_CONF_DIR", confDir(t, ha...))
	filesys.Configure(map[string]string{"spark.hadoop.dfs.replication": "1", "spark.hadoop.dfs.blocksize": "64MB"})
	defer filesys.Configure(nil)
	got, err = configure("", Options{})
	if err != nil || got.user != "etl" || got.replication != 1 || got.blockSize != 64<<20 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestKerberosErrors(t *testing.T) {
	dir := t.TempDir()
	conf := filepath.Join(dir, "krb5.conf")
	if err := os.WriteFile(conf, []byte("[libdefaults]\n default_realm = EXAMPLE.COM\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	rubbish := filepath.Join(dir, "rubbish")
	if err := os.WriteFile(rubbish, []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		o    Options
		want []string
	}{
		{Options{TicketCache: dir + "/none", Krb5Conf: conf}, []string{"ticket cache", "kinit"}},
		{Options{TicketCache: rubbish, Krb5Conf: conf}, []string{"ticket cache", "kinit"}},
		{Options{Keytab: dir + "/none", Krb5Conf: conf}, []string{"keytab"}},
		{Options{Keytab: rubbish, Krb5Conf: conf}, []string{"keytab"}},
		{Options{Keytab: rubbish, Krb5Conf: dir + "/none"}, []string{"KRB5_CONFIG"}},
	} {
		c.o.ConfDir = confDir(t, "hadoop.security.authentication=kerberos", "dfs.namenode.kerberos.principal=nn/_HOST@EXAMPLE.COM")
		f, err := New("127.0.0.1:1", c.o)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		_, err = f.Stat(t.Context(), "/x")
		for _, w := range c.want {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("%+v: %v, want %q in it", c.o, err, w)
			}
		}
		if time.Since(began) > time.Second {
			t.Errorf("%+v: tried again", c.o)
		}
	}
	_, err := New("nn", Options{TicketCache: "KEYRING:persistent:0", ConfDir: confDir(t, "hadoop.security.authentication=kerberos", "dfs.namenode.kerberos.principal=nn/x")})
	if err == nil || !strings.Contains(err.Error(), "KEYRING") {
		t.Errorf("a ticket cache in the kernel: %v", err)
	}
}

func TestWebLocations(t *testing.T) {
	standby := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte(`{"RemoteException":{"exception":"StandbyException","message":"Operation category READ is not supported in state standby\nat java"}}`))
	}))
	defer standby.Close()
	active := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/webhdfs/v1/a b/ü%#?" || r.URL.Query().Get("op") != "GETFILEBLOCKLOCATIONS" || r.URL.Query().Get("offset") != "5" ||
			r.URL.Query().Get("length") != "20" || r.URL.Query().Get("user.name") != "me" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = w.Write([]byte(`{"BlockLocations":{"BlockLocation":[{"corrupt":false,"hosts":["h1","h2"],"length":16,"names":["1:2"],"offset":0}]}}`))
	}))
	defer active.Close()
	f, err := New("nn", Options{User: "me"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Locations(t.Context(), "/x", 0, 1); !errors.Is(err, errNoWeb) {
		t.Errorf("without an address: %v", err)
	}
	f.cluster.web = []string{standby.URL, active.URL}
	got, err := f.Locations(t.Context(), "/a b/ü%#?", 5, 20)
	want := []filesys.Location{{Offset: 0, Length: 16, Hosts: []string{"h1", "h2"}}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	f.cluster.web = []string{standby.URL}
	if _, err := f.Locations(t.Context(), "/x", 0, 1); err == nil || !strings.Contains(err.Error(), "StandbyException") || strings.Contains(err.Error(), "at java") {
		t.Errorf("%v", err)
	}
}

func TestRegistered(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := filesys.Stat(ctx, "hdfs://nowhere.invalid/x"); !errors.Is(err, context.Canceled) || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}
