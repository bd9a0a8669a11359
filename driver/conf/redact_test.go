package conf

import (
	"strings"
	"testing"
)

func TestRedactor(t *testing.T) {
	c := New()
	for key, value := range map[string]string{
		"spark.hadoop.fs.s3a.secret.key": "hunter2/hunter2+", "spark.hadoop.fs.s3a.access.key": "AKIAEXAMPLE",
		"spark.hadoop.fs.s3a.bucket.b.session.token": "short", "spark.executorEnv.DB_PASSWORD": "correct horse", "spark.app.name": "counting",
	} {
		if err := c.Set(key, value); err != nil {
			t.Fatal(err)
		}
	}
	redact := c.Redactor()
	for _, c := range [][2]string{
		{"open /tmp/a=b: no such file", "open /tmp/a=b: no such file"},
		{"GET https://b.s3.amazonaws.com/k?X-Amz-Algorithm=AWS4&X-Amz-Credential=A%2Fx&X-Amz-Signature=0123&X-Amz-Security-Token=abc: 403", "GET https://b.s3.amazonaws.com/k?X-Amz-Algorithm=AWS4&X-Amz-Credential=*&X-Amz-Signature=*&X-Amz-Security-Token=* 403"},
		{`Get "https://b.blob.core.windows.net/k?sv=2020&sig=a%3D%3D": EOF`, `Get "https://b.blob.core.windows.net/k?sv=2020&sig=*": EOF`},
		{"dial s3a://AKIA:pass@word@bucket/x?", "dial s3a://AKIA:*@bucket/x?"},
		{"https://user@host:80/x", "https://user@host:80/x"},
		{"http://host:80/a@b", "http://host:80/a@b"},
		{"http://host/?q=secretary&password=p&page=2", "http://host/?q=secretary&password=*&page=2"},
		{"the key hunter2/hunter2+ of AKIAEXAMPLE", "the key * of *"},
		{"sent hunter2%2Fhunter2%2B", "sent *"},
		{"login: correct horse", "login: *"},
		{"counting short", "counting short"},
		{`spark.hadoop.fs.s3a.bucket.b.session.token=short spark.app.name=x`, `spark.hadoop.fs.s3a.bucket.b.session.token=* spark.app.name=x`},
		{`{"spark.my.password": "short", "spark.executor.cores": "4"}`, `{"spark.my.password": "*", "spark.executor.cores": "4"}`},
		{"line one\nAuthorization for s3://u:p@h/\nline three", "line one\nAuthorization for s3://u:*@h/\nline three"},
		{"two hdfs://a:b@c/ and hdfs://d:e@f/", "two hdfs://a:*@c/ and hdfs://d:*@f/"},
	} {
		text, want := c[0], c[1]
		got := strings.ReplaceAll(redact(text), redacted, "*")
		if got != want {
			t.Errorf("%q\n  becomes %q\n  want    %q", text, got, want)
		}
		if again := strings.ReplaceAll(redact(redact(text)), redacted, "*"); again != want {
			t.Errorf("%q: twice it becomes %q", text, again)
		}
	}
	if err := c.Set("spark.redaction.regex", "name"); err != nil {
		t.Fatal(err)
	}
	if got := c.Redactor()("the key hunter2/hunter2+ is counting"); strings.Contains(got, "counting") || !strings.Contains(got, "hunter2") {
		t.Errorf("spark.redaction.regex has no effect: %s", got)
	}
}
