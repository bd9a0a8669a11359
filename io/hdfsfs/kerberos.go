package hdfsfs

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	krb "github.com/jcmturner/gokrb5/v8/client"
	krbconfig "github.com/jcmturner/gokrb5/v8/config"
	"github.com/jcmturner/gokrb5/v8/credentials"
	"github.com/jcmturner/gokrb5/v8/keytab"
)

// errKerberos marks errors of the login: trying again does not help. Their causes are told but not wrapped: a missing keytab is not a
// missing file of the file system.
var errKerberos = errors.New("kerberos login")

// configureSecurity fills in how one proves who one is.
func (c *cluster) configureSecurity(s settings, o Options, where string) error {
	switch mode := strings.ToLower(s.get("hadoop.security.authentication")); mode {
	case "", "simple":
		return nil
	case "kerberos":
	default:
		return fmt.Errorf("hadoop.security.authentication is %q: simple and kerberos are known: %s", mode, where)
	}
	c.kerberos = true
	principal := s.get("dfs.namenode.kerberos.principal")
	if principal == "" {
		return fmt.Errorf("the cluster uses Kerberos, but dfs.namenode.kerberos.principal is not set: %s", where)
	}
	c.service, _, _ = strings.Cut(principal, "@")
	c.keytab = strings.TrimPrefix(first(o.Keytab, os.Getenv("KRB5_CLIENT_KTNAME")), "FILE:")
	c.principal = first(o.Principal, os.Getenv("KRB5_CLIENT_PRINCIPAL"))
	c.krb5Conf = first(o.Krb5Conf, os.Getenv("KRB5_CONFIG"), "/etc/krb5.conf")
	c.ticketCache = first(o.TicketCache, os.Getenv("KRB5CCNAME"), fmt.Sprintf("/tmp/krb5cc_%d", os.Getuid()))
	if kind, file, ok := strings.Cut(c.ticketCache, ":"); ok && c.keytab == "" {
		if kind != "FILE" {
			return fmt.Errorf("the ticket cache %s is of the kind %s, which is not supported: use a file (KRB5CCNAME=FILE:/path, then kinit), or a keytab (KRB5_CLIENT_KTNAME)", c.ticketCache, kind)
		}
		c.ticketCache = file
	}
	return c.configureProtection(s)
}

// aesSuite is the only cipher whose connections the client library reads rightly.
const aesSuite = "AES/CTR/NoPadding"

// configureProtection fills in how the data transfer is protected: by the first of the ways that the DataNodes, which have the same
// configuration, offer.
func (c *cluster) configureProtection(s settings) error {
	list := strings.ToLower(s.get("dfs.data.transfer.protection"))
	way, _, _ := strings.Cut(list, ",")
	c.protection = strings.TrimSpace(way)
	c.encrypt = strings.EqualFold(s.get("dfs.encrypt.data.transfer"), "true")
	if c.encrypt {
		c.protection = "privacy"
	}
	switch c.protection {
	case "", "authentication":
	case "integrity":
		return fmt.Errorf("dfs.data.transfer.protection is %q: integrity is not supported: use authentication, or privacy with dfs.encrypt.data.transfer.cipher.suites=%s", list, aesSuite)
	case "privacy":
		if suites := s.get("dfs.encrypt.data.transfer.cipher.suites"); !strings.EqualFold(suites, aesSuite) {
			return fmt.Errorf("the data transfer is encrypted with the ciphers %q, which are not supported: set dfs.encrypt.data.transfer.cipher.suites=%s in the hdfs-site.xml of the DataNodes and of this program", suites, aesSuite)
		}
	default:
		return fmt.Errorf("dfs.data.transfer.protection is %q: authentication and privacy are supported", list)
	}
	return nil
}

// kerberos logs in once and again when the ticket cache was refilled.
type kerberos struct {
	keytab, principal, cache, config string

	mu     sync.Mutex
	client *krb.Client
	filled time.Time // when the ticket cache was
}

// login returns a client with a ticket-granting ticket. All sessions share it.
func (k *kerberos) login() (*krb.Client, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.keytab != "" {
		if k.client != nil {
			return k.client, nil // it renews itself
		}
	} else {
		info, err := os.Stat(k.cache)
		if err != nil {
			return nil, fmt.Errorf("%w: the ticket cache: %s: run kinit, name the cache in KRB5CCNAME, or a keytab in KRB5_CLIENT_KTNAME", errKerberos, err.Error())
		}
		if k.client != nil && info.ModTime().Equal(k.filled) {
			return k.client, nil
		}
		k.filled = info.ModTime()
	}
	conf, err := krbconfig.Load(k.config)
	if err != nil {
		return nil, fmt.Errorf("%w: read %s: %s: name Kerberos' configuration in KRB5_CONFIG", errKerberos, k.config, err.Error())
	}
	if k.keytab != "" {
		k.client, err = k.fromKeytab(conf)
	} else {
		k.client, err = k.fromCache(conf)
	}
	return k.client, err
}

func (k *kerberos) fromKeytab(conf *krbconfig.Config) (*krb.Client, error) {
	keys, err := keytab.Load(k.keytab)
	if err != nil {
		return nil, fmt.Errorf("%w: read the keytab %s: %s", errKerberos, k.keytab, err.Error())
	}
	name, realm, _ := strings.Cut(k.principal, "@")
	if name == "" {
		if len(keys.Entries) == 0 {
			return nil, fmt.Errorf("%w: the keytab %s is empty", errKerberos, k.keytab)
		}
		p := keys.Entries[0].Principal
		name, realm = strings.Join(p.Components, "/"), p.Realm
	}
	if realm == "" {
		realm = conf.LibDefaults.DefaultRealm
	}
	client := krb.NewWithKeytab(name, realm, keys, conf, krb.DisablePAFXFAST(true))
	if err := client.Login(); err != nil {
		return nil, fmt.Errorf("%w: %s@%s with the keytab %s: %s", errKerberos, name, realm, k.keytab, err.Error())
	}
	return client, nil
}

func (k *kerberos) fromCache(conf *krbconfig.Config) (*krb.Client, error) {
	cache, err := credentials.LoadCCache(k.cache)
	if err != nil {
		return nil, fmt.Errorf("%w: read the ticket cache %s: %s: run kinit", errKerberos, k.cache, err.Error())
	}
	now := time.Now()
	var latest time.Time
	for _, c := range cache.GetEntries() {
		if name := c.Server.PrincipalName.NameString; len(name) > 0 && name[0] == "krbtgt" && c.EndTime.After(latest) {
			latest = c.EndTime
		}
	}
	if !latest.After(now) {
		return nil, fmt.Errorf("%w: the ticket of %s in %s ended at %s: run kinit", errKerberos, cache.GetClientPrincipalName().PrincipalNameString(), k.cache, latest.UTC().Format(time.RFC3339))
	}
	client, err := krb.NewFromCCache(cache, conf, krb.DisablePAFXFAST(true))
	if err != nil {
		return nil, fmt.Errorf("%w: the ticket cache %s: %s: run kinit", errKerberos, k.cache, err.Error())
	}
	return client, nil
}
