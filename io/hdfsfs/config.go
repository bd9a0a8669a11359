package hdfsfs

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/colinmarc/hdfs/v2/hadoopconf"

	"github.com/spark-go/spark-go/io/filesys"
)

// Options override what the environment says; their zero value is what hdfs:// URIs use.
//
// Kerberos is used if the configuration has hadoop.security.authentication=kerberos. The login comes from a keytab if one is named, else
// from the ticket cache that kinit filled.
type Options struct {
	// ConfDir holds core-site.xml and hdfs-site.xml. Default: HADOOP_CONF_DIR, else etc/hadoop or conf in HADOOP_HOME, else no configuration.
	ConfDir string
	// User acts without Kerberos. Default: HADOOP_USER_NAME, else the user of the process.
	User string
	// Keytab is a file with Principal's key. Default: KRB5_CLIENT_KTNAME.
	Keytab string
	// Principal is a name in the keytab: user@REALM, or user in the default realm. Default: KRB5_CLIENT_PRINCIPAL, else the first entry of the keytab.
	Principal string
	// TicketCache is a file. Default: KRB5CCNAME, else /tmp/krb5cc_UID.
	TicketCache string
	// Krb5Conf is Kerberos' configuration. Default: KRB5_CONFIG, else /etc/krb5.conf.
	Krb5Conf string
}

// defaultPort is the port of a NameNode that is named without one, Hadoop's.
const defaultPort = "8020"

// cluster is what is known of a cluster before it is asked.
type cluster struct {
	namenodes []string // host:port
	web       []string // base URLs of their HTTP servers, if known
	user      string

	kerberos                                 bool
	service                                  string // the NameNodes' principal without its realm, may contain _HOST
	keytab, principal, ticketCache, krb5Conf string
	protection                               string // of the data transfer
	encrypt                                  bool
	hostnames                                bool // DataNodes are reached by name
	replication                              int  // 0 for the cluster's
	blockSize                                int64
	conf                                     hadoopconf.HadoopConf
}

// settings is a Hadoop configuration under the application's spark.hadoop.* settings.
type settings struct{ conf hadoopconf.HadoopConf }

func (s settings) get(key string) string {
	if v := filesys.Setting(key); v != "" {
		return s.expand(v)
	}
	return s.expand(strings.TrimSpace(s.conf[key]))
}

// expand replaces ${key} by the value of another key, an environment variable (env.NAME) or the user's name and home.
func (s settings) expand(v string) string {
	for range 20 { // Hadoop's bound on nesting
		start := strings.Index(v, "${")
		if start < 0 {
			break
		}
		end := strings.IndexByte(v[start:], '}')
		if end < 0 {
			break
		}
		name := v[start+2 : start+end]
		var value string
		switch rest, env := strings.CutPrefix(name, "env."); {
		case env:
			rest, alternative, _ := strings.Cut(rest, ":-")
			if value = os.Getenv(rest); value == "" {
				value = alternative
			}
		case name == "user.name":
			value = osUser()
		case name == "user.home":
			value, _ = os.UserHomeDir()
		default:
			value = strings.TrimSpace(s.conf[name])
		}
		v = v[:start] + value + v[start+end+1:]
	}
	return v
}

func osUser() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return os.Getenv("USER")
}

// first is the first of the values that is not empty.
func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// loadConf reads the configuration and says where it looked.
func loadConf(dir string) (conf hadoopconf.HadoopConf, looked string, err error) {
	dirs := []string{dir}
	looked = dir
	if dir == "" {
		if v := os.Getenv("HADOOP_CONF_DIR"); v != "" {
			dirs, looked = []string{v}, "HADOOP_CONF_DIR="+v
		} else if v := os.Getenv("HADOOP_HOME"); v != "" {
			dirs, looked = []string{filepath.Join(v, "etc", "hadoop"), filepath.Join(v, "conf")}, "HADOOP_HOME="+v
		} else {
			return nil, "", nil
		}
	}
	for _, d := range dirs {
		if conf, err = hadoopconf.Load(d); err != nil {
			return nil, looked, fmt.Errorf("read the Hadoop configuration in %s: %w", d, err)
		}
		if conf != nil {
			return conf, looked, nil
		}
	}
	return nil, looked, nil
}

func configure(authority string, o Options) (cluster, error) {
	conf, looked, err := loadConf(o.ConfDir)
	if err != nil {
		return cluster{}, err
	}
	s := settings{conf}
	c := cluster{conf: conf}
	where := "set HADOOP_CONF_DIR to the folder of the cluster's core-site.xml and hdfs-site.xml"
	if looked != "" {
		where = "look into core-site.xml and hdfs-site.xml of " + looked
	}
	if authority == "" {
		def := first(s.get("fs.defaultFS"), s.get("fs.default.name"))
		u, err := url.Parse(def)
		if err != nil || u.Scheme != "hdfs" || u.Host == "" {
			return c, fmt.Errorf("the URI names no host and fs.defaultFS is %q: write hdfs://namenode:8020/path, or %s", def, where)
		}
		authority = u.Host
	}
	if strings.Contains(authority, "@") {
		return c, fmt.Errorf("hdfs://%s: a URI names no user: set HADOOP_USER_NAME", authority)
	}
	if err := c.findNamenodes(s, authority, where); err != nil {
		return c, err
	}
	c.user = first(o.User, os.Getenv("HADOOP_USER_NAME"), osUser())
	if c.user == "" {
		return c, errors.New("the user of this process has no name: set HADOOP_USER_NAME")
	}
	if err := c.configureSecurity(s, o, where); err != nil {
		return c, err
	}
	c.hostnames = s.get("dfs.client.use.datanode.hostname") == "true"
	if v := s.get("dfs.replication"); v != "" {
		if c.replication, err = strconv.Atoi(v); err != nil || c.replication < 1 {
			return c, fmt.Errorf("dfs.replication is %q: it must be a number of 1 or more", v)
		}
	}
	if v := s.get("dfs.blocksize"); v != "" {
		if c.blockSize, err = parseBytes(v); err != nil {
			return c, fmt.Errorf("dfs.blocksize: %w", err)
		}
	}
	return c, nil
}

// parseBytes reads a size with one of Hadoop's suffixes, such as 134217728, 128m or 1g.
func parseBytes(text string) (int64, error) {
	digits, shift := text, 0
	if n := len(text); n > 2 && strings.ContainsAny(text[n-2:n-1], "kmgtKMGT") {
		text = strings.TrimRight(text, "bB") // as in Spark's settings, 128mb
		digits = text
	}
	if i := strings.IndexAny(strings.ToLower(text), "kmgt"); i >= 0 && i == len(text)-1 {
		digits, shift = text[:i], 10*(1+strings.IndexByte("kmgt", strings.ToLower(text)[i]))
	}
	n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
	if err != nil || n < 1 || n > 1<<62>>shift {
		return 0, fmt.Errorf("%q is no size: write bytes, or a number with k, m or g, such as 128m", text)
	}
	return n << shift, nil
}

// findNamenodes fills in the addresses of the NameNodes.
func (c *cluster) findNamenodes(s settings, authority, where string) error {
	secureWeb := strings.EqualFold(s.get("dfs.http.policy"), "HTTPS_ONLY")
	addWeb := func(suffix, host string) {
		key, scheme, port := "dfs.namenode.http-address", "http://", "9870"
		if secureWeb {
			key, scheme, port = "dfs.namenode.https-address", "https://", "9871"
		}
		if address := s.get(key + suffix); address != "" {
			// 0.0.0.0 is what servers listen on, not where clients find them.
			h, p, err := net.SplitHostPort(address)
			if err != nil {
				h, p = address, port
			}
			if h == "0.0.0.0" || h == "" {
				h = host
			}
			c.web = append(c.web, scheme+net.JoinHostPort(h, p))
		}
	}
	if ids := s.get("dfs.ha.namenodes." + authority); ids != "" {
		for id := range strings.SplitSeq(ids, ",") {
			suffix := "." + authority + "." + strings.TrimSpace(id)
			address := s.get("dfs.namenode.rpc-address" + suffix)
			if address == "" {
				return fmt.Errorf("the nameservice %s has a NameNode %s without address: set dfs.namenode.rpc-address%s: %s", authority, strings.TrimSpace(id), suffix, where)
			}
			address = withPort(address)
			c.namenodes = append(c.namenodes, address)
			host, _, _ := net.SplitHostPort(address)
			addWeb(suffix, host)
		}
		return nil
	}
	for name := range strings.SplitSeq(s.get("dfs.nameservices"), ",") {
		if strings.TrimSpace(name) == authority { // one without high availability
			address := s.get("dfs.namenode.rpc-address." + authority)
			if address == "" {
				return fmt.Errorf("the nameservice %s has no address: set dfs.namenode.rpc-address.%s: %s", authority, authority, where)
			}
			address = withPort(address)
			c.namenodes = []string{address}
			host, _, _ := net.SplitHostPort(address)
			addWeb("."+authority, host)
			return nil
		}
	}
	if _, port, err := net.SplitHostPort(authority); err == nil {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return fmt.Errorf("hdfs://%s: the port %q is no number from 1 to 65535", authority, port)
		}
	}
	address := withPort(authority)
	c.namenodes = []string{address}
	// The configuration speaks of this NameNode's HTTP server only if it speaks of this NameNode.
	if rpc := s.get("dfs.namenode.rpc-address"); rpc != "" && withPort(rpc) == address || s.defaultAddress() == address {
		host, _, _ := net.SplitHostPort(address)
		addWeb("", host)
	}
	return nil
}

// defaultAddress is the host:port of fs.defaultFS.
func (s settings) defaultAddress() string {
	u, err := url.Parse(first(s.get("fs.defaultFS"), s.get("fs.default.name")))
	if err != nil || u.Host == "" {
		return ""
	}
	return withPort(u.Host)
}

func withPort(address string) string {
	if _, _, err := net.SplitHostPort(address); err == nil {
		return address
	}
	return net.JoinHostPort(strings.Trim(address, "[]"), defaultPort)
}
