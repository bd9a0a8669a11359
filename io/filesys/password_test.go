package filesys

import (
	"strings"
	"testing"
)

// A password in a URI would be in every error and log that names a file: it is refused, and not shown in that either.
func TestPasswordsInURIsAreRefused(t *testing.T) {
	for uri, refused := range map[string]bool{
		"s3a://KEY:hunter2@bucket/x": true, "hdfs://user:hunter2@nn:8020/x": true, "hdfs://u:hunter2@2@nn/x": true,
		"hdfs://user@nn:8020/x": false, "hdfs://nn:8020/a:hunter2@b": false, "mem:///a": false,
	} {
		_, err := parse(uri)
		if (err != nil) != refused {
			t.Errorf("%s: %v", uri, err)
		}
		if err != nil && (strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "@2")) {
			t.Errorf("the error shows the password: %v", err)
		}
	}
}
