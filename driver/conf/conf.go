// Package conf holds the settings of an application.
package conf

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Conf is a set of settings.
type Conf struct{ values map[string]string }

var defaults = map[string]string{
	"spark.master": "", "spark.driver.maxResultSize": "1g", "spark.task.maxFailures": "4", "spark.driver.memory": "1g",
	"spark.memory.fraction": "0.6", "spark.memory.storageFraction": "0.5", "spark.reducer.maxSizeInFlight": "48m",
	"spark.shuffle.compress": "true", "spark.io.compression.codec": "lz4", "spark.default.parallelism": "0",
}

// Load reads the settings that spark-go submit passed on.
func Load() (*Conf, error) { return &Conf{values: map[string]string{"spark.master": os.Getenv("SPARK_GO_MASTER")}}, nil }

// Set sets a key.
func (c *Conf) Set(k, v string) error { c.values[k] = v; return nil }

// Get returns a value or its default.
func (c *Conf) Get(k string) string {
	if v, ok := c.values[k]; ok && v != "" {
		return v
	}
	return defaults[k]
}

// Int returns a number.
func (c *Conf) Int(k string) int { n, _ := strconv.Atoi(c.Get(k)); return n }

// Float returns a number.
func (c *Conf) Float(k string) float64 { f, _ := strconv.ParseFloat(c.Get(k), 64); return f }

// Bool returns a switch.
func (c *Conf) Bool(k string) bool { b, _ := strconv.ParseBool(c.Get(k)); return b }

// Bytes returns a size.
func (c *Conf) Bytes(k string) int64 { n, _ := ParseBytes(c.Get(k)); return n }

// ParseBytes reads a size such as 512m or 2g.
func ParseBytes(s string) (int64, error) {
	unit := int64(1)
	t := strings.ToLower(strings.TrimSpace(s))
	for suffix, u := range map[string]int64{"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40} {
		if strings.HasSuffix(t, suffix) {
			unit, t = u, strings.TrimSuffix(t, suffix)
			break
		}
	}
	n, err := strconv.ParseInt(t, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("size %q: write a number with k, m or g", s)
	}
	return n * unit, nil
}
