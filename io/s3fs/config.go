package s3fs

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/logging"

	"github.com/spark-go/spark-go/io/filesys"
)

// options are the settings of a bucket: spark.hadoop.fs.s3a.KEY, or before it spark.hadoop.fs.s3a.bucket.NAME.KEY. What is
// unset comes from AWS's standard places: environment, shared files, container and instance roles.
type options struct {
	endpoint     string // endpoint
	region       string // endpoint.region
	pathStyle    string // path.style.access: true, false, or empty for true at all endpoints but AWS's own
	access       string // access.key
	secret       string // secret.key
	token        string // session.token
	plain        bool   // connection.ssl.enabled is false
	anonymous    bool   // aws.credentials.provider is Hadoop's anonymous one
	attempts     int    // attempts.maximum
	timeout      time.Duration
	partSize     int64         // multipart.size
	maxBackoff   time.Duration // between two attempts
	readAhead    int64         // of a first read, doubled with each that goes on from there
	maxReadAhead int64
	fastEnough   float64 // bytes a second
	judgedBy     int64
}

const (
	defaultAttempts = 10
	defaultTimeout  = time.Minute // without a byte in or out
	defaultPartSize = 8 << 20
	minPartSize     = 5 << 20 // S3's
	maxPartSize     = 1 << 30
)

const (
	hadoop       = "spark.hadoop."
	bucketPrefix = "spark.hadoop.fs.s3a.bucket."
)

// longestPause bounds the wait between two attempts; a variable for tests.
var longestPause = 20 * time.Second

// readOptions reads what filesys.Configure was given.
func readOptions(name string) (options, error) {
	o := options{attempts: defaultAttempts, timeout: defaultTimeout, partSize: defaultPartSize, maxBackoff: longestPause, readAhead: 256 << 10, maxReadAhead: 8 << 20, fastEnough: fastEnough, judgedBy: judgedBy}
	var where string
	get := func(key string) string {
		where = bucketPrefix + name + strings.TrimPrefix(key, "spark.hadoop.fs.s3a")
		if v := filesys.Setting(strings.TrimPrefix(where, hadoop)); v != "" {
			return v
		}
		where = key
		return filesys.Setting(strings.TrimPrefix(where, hadoop))
	}
	bad := func(v, want string) error { return fmt.Errorf("%s is %q: %s", where, v, want) }
	o.endpoint, o.region = get("spark.hadoop.fs.s3a.endpoint"), get("spark.hadoop.fs.s3a.endpoint.region")
	o.access, o.secret, o.token = get("spark.hadoop.fs.s3a.access.key"), get("spark.hadoop.fs.s3a.secret.key"), get("spark.hadoop.fs.s3a.session.token")
	switch v := strings.ToLower(get("spark.hadoop.fs.s3a.connection.ssl.enabled")); v {
	case "", "true":
	case "false":
		o.plain = true
	default:
		return o, bad(v, "write true or false")
	}
	switch o.pathStyle = strings.ToLower(get("spark.hadoop.fs.s3a.path.style.access")); o.pathStyle {
	case "", "true", "false":
	default:
		return o, bad(o.pathStyle, "write true or false")
	}
	switch v := get("spark.hadoop.fs.s3a.aws.credentials.provider"); {
	case v == "":
	case strings.HasSuffix(v, ".AnonymousAWSCredentialsProvider") || v == "anonymous":
		o.anonymous = true
	default:
		return o, bad(v, "only the anonymous provider can be named: leave it unset for access.key and secret.key or AWS's standard chain")
	}
	if v := get("spark.hadoop.fs.s3a.attempts.maximum"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 {
			return o, bad(v, "write a whole number of at least 1")
		}
		o.attempts = n
	}
	if v := get("spark.hadoop.fs.s3a.connection.timeout"); v != "" {
		d, err := parseTime(v)
		if err != nil || d <= 0 {
			return o, bad(v, "write a time such as 60s")
		}
		o.timeout = d
	}
	if v := get("spark.hadoop.fs.s3a.multipart.size"); v != "" {
		n, err := parseSize(v)
		if err != nil || n < minPartSize || n > maxPartSize {
			return o, bad(v, "write a size from 5M to 1G")
		}
		o.partSize = n
	}
	if (o.access == "") != (o.secret == "") {
		return o, fmt.Errorf("only one of spark.hadoop.fs.s3a.access.key and .secret.key is set for bucket %s: set both or none", name)
	}
	return o, nil
}

// parseTime reads 1500, 1500ms, 60s, 1min or 1h; a number alone is milliseconds, as Hadoop has it.
func parseTime(s string) (time.Duration, error) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return time.Duration(n) * time.Millisecond, nil
	}
	return time.ParseDuration(strings.TrimSuffix(s, "in")) // 1min
}

// parseSize reads 67108864, 64M, 64m or 64mb.
func parseSize(s string) (int64, error) {
	shift := 0
	s = strings.TrimSuffix(strings.ToLower(s), "b")
	if i := strings.IndexAny(s, "kmg"); i > 0 && i == len(s)-1 {
		shift = 10 * (1 + strings.IndexByte("kmg", s[i]))
		s = s[:i]
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n << shift, err
}

func newBucket(ctx context.Context, name string, o options) (*bucket, error) {
	load := []func(*config.LoadOptions) error{
		config.WithHTTPClient(httpClient(o.timeout)),
		config.WithLogger(logging.Nop{}), // errors are returned, and that ranges have no checksums is known
		config.WithRetryer(func() aws.Retryer {
			return retry.NewStandard(func(s *retry.StandardOptions) {
				s.MaxAttempts = o.attempts
				s.MaxBackoff = o.maxBackoff
				s.Backoff = retry.NewExponentialJitterBackoff(o.maxBackoff)
				// The quota would give up early when many tasks meet one outage; attempts and pauses bound the load already.
				s.RateLimiter = ratelimit.None
			})
		}),
	}
	switch {
	case o.anonymous:
		load = append(load, config.WithCredentialsProvider(aws.AnonymousCredentials{}))
	case o.access != "":
		load = append(load, config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider(o.access, o.secret, o.token)))
	}
	if o.region != "" {
		load = append(load, config.WithRegion(o.region))
	}
	cfg, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return nil, fmt.Errorf("read the AWS configuration: %w: check AWS_PROFILE, and ~/.aws/config and ~/.aws/credentials", err)
	}
	if cfg.Region == "" {
		cfg.Region = "us-east-1" // what S3 itself takes for the default; other stores do not care
	}
	if !o.anonymous {
		if _, err := cfg.Credentials.Retrieve(ctx); err != nil {
			return nil, fmt.Errorf("find credentials: %w: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or spark.hadoop.fs.s3a.access.key and .secret.key", err)
		}
	}
	b := &bucket{name: name, opts: o}
	b.client = s3.NewFromConfig(cfg, func(s *s3.Options) {
		if o.endpoint != "" {
			s.BaseEndpoint = aws.String(withScheme(o.endpoint, o.plain))
		}
		if s.BaseEndpoint != nil {
			b.endpoint = *s.BaseEndpoint
		}
		switch o.pathStyle {
		case "true":
			s.UsePathStyle = true
		case "":
			// Names such as bucket.localhost resolve nowhere.
			s.UsePathStyle = b.endpoint != "" && !isAmazon(b.endpoint)
		}
		s.DisableLogOutputChecksumValidationSkipped = true
	})
	return b, nil
}

// withScheme makes a URL of an endpoint, which Hadoop writes without the scheme.
func withScheme(endpoint string, plain bool) string {
	if strings.Contains(endpoint, "://") {
		return endpoint
	}
	if plain {
		return "http://" + endpoint
	}
	return "https://" + endpoint
}

func isAmazon(endpoint string) bool {
	u, err := url.Parse(endpoint)
	return err == nil && (strings.HasSuffix(u.Hostname(), ".amazonaws.com") || strings.HasSuffix(u.Hostname(), ".amazonaws.com.cn"))
}

var clients struct {
	sync.Mutex
	byTimeout map[time.Duration]*awshttp.BuildableClient
}

// httpClient is shared by all buckets, with their connections.
func httpClient(timeout time.Duration) *awshttp.BuildableClient {
	clients.Lock()
	defer clients.Unlock()
	if c := clients.byTimeout[timeout]; c != nil {
		return c
	}
	dialer := &net.Dialer{Timeout: min(timeout, 10*time.Second), KeepAlive: 30 * time.Second}
	c := awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return &stallConn{conn, timeout}, nil
		}
		t.MaxIdleConnsPerHost = 128
		t.MaxIdleConns = 512
		t.IdleConnTimeout = min(timeout, 30*time.Second)
		t.DisableCompression = true
		t.WriteBufferSize, t.ReadBufferSize = 64<<10, 64<<10
	})
	if clients.byTimeout == nil {
		clients.byTimeout = map[time.Duration]*awshttp.BuildableClient{}
	}
	clients.byTimeout[timeout] = c
	return c
}

// stallConn fails when nothing moves for a while: a server that hangs would otherwise hold a task for ever.
type stallConn struct {
	net.Conn
	timeout time.Duration
}

func (c *stallConn) Read(p []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(c.timeout)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

func (c *stallConn) Write(p []byte) (int, error) {
	// A read that waits for the answer to this counts from now.
	if err := c.SetDeadline(time.Now().Add(c.timeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}
