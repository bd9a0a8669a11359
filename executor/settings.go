package executor

import (
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/spark-go/spark-go/executor/protocol"
	"github.com/spark-go/spark-go/shuffle/seal"
)

const (
	encryption  = "spark.io.encryption.enabled"
	keySizeBits = "spark.io.encryption.keySizeBits"
)

// SettingKeys are the settings that an executor heeds. They reach it with sizes as numbers of bytes, and times as time.ParseDuration reads them.
var SettingKeys = []string{
	"spark.memory.fraction", "spark.memory.storageFraction", "spark.shuffle.compress", "spark.shuffle.spill.compress", "spark.io.compression.codec",
	"spark.reducer.maxSizeInFlight", "spark.rdd.compress", "spark.log.level", "spark.driver.maxResultSize",
	"spark.task.reaper.enabled", "spark.task.reaper.pollingInterval", "spark.task.reaper.threadDump", "spark.task.reaper.killTimeout",
	encryption, keySizeBits,
}

// SetLogLevel makes the default logger of this process as talkative as spark.log.level says: debug, info, warn or error. A program
// that set a logger of its own keeps it.
func SetLogLevel(level string) {
	var l slog.Level
	if l.UnmarshalText([]byte(level)) == nil {
		slog.SetLogLoggerLevel(l)
	}
}

// DriverBlocks is the setting under which executors find the address of the driver's block server.
const DriverBlocks = "spark-go.driver.blocks"

// Settings makes the part of a Config that settings decide.
func Settings(s map[string]string) Config {
	codec := s["spark.io.compression.codec"]
	c := Config{Compression: codec, SpillCompression: codec}
	if s["spark.shuffle.compress"] == "false" {
		c.Compression = "none"
	}
	if s["spark.shuffle.spill.compress"] == "false" {
		c.SpillCompression = "none"
	}
	if s["spark.rdd.compress"] == "true" {
		c.BlockCompression = codec
	}
	c.StorageFraction, _ = strconv.ParseFloat(s["spark.memory.storageFraction"], 64) // the driver has checked them
	c.MaxBytesInFlight, _ = strconv.ParseInt(s["spark.reducer.maxSizeInFlight"], 10, 64)
	c.MaxResult, _ = strconv.ParseInt(s["spark.driver.maxResultSize"], 10, 64)
	c.Reaper = Reaper{Enabled: s["spark.task.reaper.enabled"] == "true", Stacks: s["spark.task.reaper.threadDump"] == "true"}
	c.Reaper.Interval, _ = time.ParseDuration(s["spark.task.reaper.pollingInterval"])
	c.Reaper.Timeout, _ = time.ParseDuration(s["spark.task.reaper.killTimeout"])
	return c
}

// FileKey is what the application with the given secret encrypts its temporary files with; nil if its settings do not ask for that.
func FileKey(s map[string]string, secret protocol.Secret) (*seal.Key, error) {
	if s[encryption] != "true" {
		return nil, nil
	}
	bits, err := strconv.Atoi(s[keySizeBits])
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", keySizeBits, err)
	}
	return seal.Derive(secret[:], bits)
}

// Share is the part of a process's memory that its runner may use for execution and storage.
func Share(memory int64, s map[string]string) int64 {
	fraction, err := strconv.ParseFloat(s["spark.memory.fraction"], 64)
	if err != nil || fraction <= 0 || fraction > 1 {
		fraction = 0.6
	}
	return int64(float64(memory) * fraction)
}
