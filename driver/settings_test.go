package driver

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spark-go/spark-go/driver/conf"
)

// A setting that nothing reads would be accepted and silently do nothing.
func TestEverySettingIsRead(t *testing.T) {
	var code strings.Builder
	for _, dir := range []string{"../driver", "../executor", "../rdd", "../io"} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.HasSuffix(path, "conf/table.go") {
				return err
			}
			text, err := os.ReadFile(path)
			for line := range strings.Lines(string(text)) {
				if line = strings.TrimSpace(line); !strings.HasPrefix(line, "//") {
					code.WriteString(line + "\n")
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	keys := []string{"spark.executorEnv."}
	for _, k := range conf.Keys {
		keys = append(keys, k.Name)
	}
	for _, k := range keys {
		// File systems ask for Hadoop's settings by Hadoop's names.
		if !strings.Contains(code.String(), `"`+k+`"`) && !strings.Contains(code.String(), `"`+strings.TrimPrefix(k, "spark.hadoop.")+`"`) {
			t.Errorf("nothing reads %s: read it, or move it to the absent settings of driver/conf/table.go with the reason", k)
		}
	}
}

func TestMasters(t *testing.T) {
	settings := conf.New()
	for key, value := range map[string]string{"spark.executor.instances": "5", "spark.executor.cores": "3", "spark.executor.memory": "2g"} {
		if err := settings.Set(key, value); err != nil {
			t.Fatal(err)
		}
	}
	all := cores(0)
	for _, c := range []struct {
		text string
		want master
	}{
		{"", master{local: true, cores: all, failures: 1}},
		{"local", master{local: true, cores: 1, failures: 1}},
		{"local[4]", master{local: true, cores: 4, failures: 1}},
		{"local[*]", master{local: true, cores: all, failures: 1}},
		{" local[ 4 , 3 ] ", master{local: true, cores: 4, failures: 3}},
		{"local[*,2]", master{local: true, cores: all, failures: 2}},
		{"local-cluster[3,2,1g]", master{hosts: 3, cores: 2, memory: 1 << 30}},
		{"local-cluster[ 1 , 1 , 512 ]", master{hosts: 1, cores: 1, memory: 512 << 20}},
		{"local-cluster", master{hosts: 5, cores: 3, memory: 2 << 30}},
	} {
		if got, err := parseMaster(c.text, settings); err != nil || got != c.want {
			t.Errorf("%q: %+v, %v, want %+v", c.text, got, err, c.want)
		}
	}
	for text, want := range map[string]string{
		"local[0]": "at least 1", "local[2,0]": "at least 1", "local[-1]": "write local", "local[two]": "write local", "yarn": "write local",
		"spark://host:7077": "write local", "local-cluster[0,1,1g]": "at least 1", "local-cluster[1,1,1m]": "64m", "local-cluster[1,1,1x]": "size",
		"local-cluster[1,1]": "local-cluster[3,2,1g]", "Local": "write local",
	} {
		if _, err := parseMaster(text, settings); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), text) {
			t.Errorf("%q: error %v does not hold %q", text, err, want)
		}
	}
}
