package executor

import (
	"log/slog"
	"strconv"
	"time"
)

// SettingKeys are the settings that an executor heeds. They reach it with sizes as numbers of bytes, and times as time.ParseDuration reads them.
var SettingKeys = []string{
	"spark.memory.fraction", "spark.memory.storageFraction", "spark.shuffle.compress", "spark.shuffle.spill.compress", "spark.io.compression.codec",
	"spark.reducer.maxSizeInFlight", "spark.rdd.compress", "spark.log.level", "spark.driver.maxResultSize",
	"spark.task.reaper.enabled", "spark.task.reaper.pollingInterval", "spark.task.reaper.threadDump", "spark.task.reaper.killTimeout",
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

// Share is the part of a process's memory that its runner may use for execution and storage.
func Share(memory int64, s map[string]string) int64 {
	fraction, err := strconv.ParseFloat(s["spark.memory.fraction"], 64)
	if err != nil || fraction <= 0 || fraction > 1 {
		fraction = 0.6
	}
	return int64(float64(memory) * fraction)
}
