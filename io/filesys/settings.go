package filesys

import (
	"maps"
	"strings"
	"sync"
)

// Settings of file systems are Hadoop's, given as spark.hadoop.*: spark.hadoop.fs.s3a.endpoint. The driver
// and each executor call Configure with those of the application; backends ask with Setting.
var settings = struct {
	sync.RWMutex
	values map[string]string
}{}

// settingPrefix is what the settings that concern file systems begin with.
const settingPrefix = "spark.hadoop."

// Configure takes the settings of an application for this process, in the place of earlier ones. Only keys that
// begin with spark.hadoop. count. When they changed, file systems are opened anew for URIs that are used from then on; what is in
// memory (mem://) stays.
func Configure(values map[string]string) {
	kept := map[string]string{}
	for k, v := range values {
		if strings.HasPrefix(k, settingPrefix) {
			kept[k] = v
		}
	}
	settings.Lock()
	same := maps.Equal(settings.values, kept)
	settings.values = kept
	settings.Unlock()
	if same {
		return
	}
	registry.Lock()
	defer registry.Unlock()
	for key, fsys := range registry.open {
		if _, memory := fsys.(*memFS); !memory {
			delete(registry.open, key)
		}
	}
}

// Setting is the value of a setting of file systems, such as "fs.s3a.endpoint" for spark.hadoop.fs.s3a.endpoint; empty if it is unset.
func Setting(key string) string {
	settings.RLock()
	defer settings.RUnlock()
	return settings.values[settingPrefix+key]
}
