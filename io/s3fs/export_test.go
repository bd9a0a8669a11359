package s3fs

import (
	"io"
	"net/http"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/spark-go/spark-go/io/filesys"
)

// What tests outside of the package use of those inside.
const (
	TestAccess = testAccess
	TestSecret = testSecret
)

func StartGateway(t testing.TB) (addr string)       { return startGateway(t).addr }
func Use(t testing.TB, addr string)                 { use(t, addr, nil) }
func MakeBucket(t testing.TB, name string)          { makeBucket(t, name) }
func StartProxy(t testing.TB, target string) *proxy { return startProxy(t, target) }
func (p *proxy) Addr() string                       { return p.addr }

// OnRequest calls f with the number of each request, from 1, before it is passed on.
func (p *proxy) OnRequest(f func(n int)) {
	p.set(func(n int, _ *http.Request) fault {
		if f != nil {
			f(n)
		}
		return fault{}
	})
}

func (p *proxy) Requests() int {
	n, _ := p.count()
	return n
}

func Uploads(t testing.TB, name string) int { return uploads(t, get(t, name)) }

// PlainGet copies an object through the client as it is.
func PlainGet(b *testing.B, w io.Writer, bucket, key string, want int64) {
	plainGet(b, get(b, bucket), w, key, nil, make([]byte, 1<<20), want)
}

// PlainCopy copies an object to another through the client as it is.
func PlainCopy(b *testing.B, bucket, from, to string) {
	s := get(b, bucket)
	out, err := s.client.GetObject(b.Context(), &s3.GetObjectInput{Bucket: &s.name, Key: &from})
	if err != nil {
		b.Error(err)
		return
	}
	defer out.Body.Close()
	plainUpload(b, s, to, out.Body)
}

func get(t testing.TB, name string) *bucket {
	fsys, _, err := filesys.Get(t.Context(), "s3://"+name+"/")
	if err != nil {
		t.Fatal(err)
	}
	return fsys.(*bucket)
}
