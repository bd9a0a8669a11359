package protocol

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/spark-go/spark-go/shuffle"
)

// encode returns a message as a frame without its length: kind and body.
func encode(m Message) []byte {
	w := writer{buf: []byte{byte(m.kind())}}
	m.write(&w)
	return w.buf
}

// samples has each message, with every field set, and again with none.
func samples() []Message {
	here := shuffle.Location{Executor: "0.1", Host: "host-0", Addr: "unix:/tmp/x.sock", Dir: "/tmp/x"}
	there := shuffle.Location{Executor: "1.1", Host: "host-1", Addr: "tcp:10.0.0.1:7077", Dir: "/data/y"}
	outputs := []shuffle.Output{
		{Map: 0, Attempt: 17, Location: here, Sizes: []int64{1, 0, math.MaxInt64}, Rows: 12},
		{Map: 1, Attempt: 18, Location: there, Sizes: []int64{0, 0, 0}},
		{Map: 2, Attempt: 19, Location: here},
		{Map: 3, Attempt: 20, Location: here, Sizes: []int64{9}, Rows: 1},
	}
	at := time.Unix(1700000000, 123456789)
	result := TaskResult{
		ID: 1 << 40, Stage: StageKey{4, 1}, Partition: 7, Outcome: Succeeded, Value: []byte("value"), Output: &outputs[0],
		Updates: []AccumulatorUpdate{{ID: 3, Value: []byte{1, 2}}, {ID: 4}}, Blocks: []BlockUpdate{{BlockID{1, 2}, 3, 4, 5}, {ID: BlockID{5, 6}}},
		Metrics: TaskMetrics{
			Start: at, Run: time.Second, ResultBytes: 1, RowsRead: 2, BytesRead: 3, RowsWritten: 4, BytesWritten: 5, CachedRead: 6,
			Shuffle: shuffle.Metrics{
				RowsWritten: 7, BytesWritten: 8, RowsRead: 9, BytesRead: 10, LocalBlocks: 11, RemoteBlocks: 12, SpilledRows: 13, SpilledBytes: 14,
				PeakMemory: 15, FetchWaitNanos: 16, WriteNanos: -17,
			},
		},
	}
	failed := TaskResult{ID: 2, Outcome: FetchFailed, Error: "cannot read", Fetch: &FetchFailure{Shuffle: 1, Map: -1, Reduce: 3, Location: there, Message: "gone"}}
	hopeless := TaskResult{ID: 3, Outcome: Failed, Error: "too large", Permanent: true}
	return []Message{
		&RegisterHost{Host: "host-0", PID: 12, BlockAddr: "unix:/a", Dir: "/b"}, &RegisterHost{},
		&RegisterExecutor{ID: "0.1", Host: "host-0", Epoch: 1, PID: 2, Cores: 3, Memory: 1 << 30, Digest: "abc", BlockAddr: "unix:/c", Location: here}, &RegisterExecutor{},
		&Registered{Heartbeat: time.Second, MaxFrame: 5, Digest: "d", Settings: map[string]string{"b": "2", "a": "1"}}, &Registered{},
		&Refused{Reason: "no"}, &Refused{},
		&Heartbeat{Running: []int64{1, 2, -3}, Rows: []int64{7, 0, 9}, Heap: 4, Mapped: 5}, &Heartbeat{},
		&StageBinary{
			Key: StageKey{1, 2}, Job: 3, Program: []byte("program"), Inputs: map[int][]shuffle.Output{5: outputs, 2: nil, 9: outputs[:1]},
			Properties: map[string]string{"spark.job.description": "x"}, Gang: []Member{{"0.1", "localhost"}, {"1.1", "10.0.0.1"}}, MaxMessage: 1 << 20,
		}, &StageBinary{},
		&LaunchTasks{Tasks: []TaskDesc{{ID: 1, Stage: StageKey{2, 3}, Partition: 4, Attempt: 5, Splits: []byte("s"), Replicas: []Replica{{ID: BlockID{6, 7}, Addrs: []string{"unix:/e", "unix:/f"}}, {}}}, {}}}, &LaunchTasks{},
		&KillTask{ID: 5, Reason: "late"}, &KillTask{},
		&TaskResults{Results: []TaskResult{result, failed, {}, hopeless, result}}, &TaskResults{},
		&BlockUpdates{Updates: []BlockUpdate{{BlockID{1, 2}, 3, 4, 5}}}, &BlockUpdates{},
		&Remove{Kind: RemoveStage, ID: 4, Attempt: 1}, &Remove{},
		&ExecutorExited{ID: "0.1", Epoch: 1, Code: 42, Signal: 9, Killed: "k", Start: "s", Registered: true, Restarting: true, Stderr: "panic"}, &ExecutorExited{},
		&KillExecutor{Epoch: 3, Reason: "silent"}, &KillExecutor{},
		&Log{Time: at, Level: -4, Text: "hi"}, &Log{},
		&Stop{Reason: "end"}, &Stop{},
		&CommitRequest{ID: 7}, &CommitRequest{},
		&CommitAnswer{ID: 8, Allowed: true}, &CommitAnswer{},
		&Decommission{Reason: "power"}, &Decommission{},
		&Copy{ID: 9, Shuffle: 3, Output: &outputs[0]}, &Copy{ID: 10, Block: BlockID{1, 2}, Addr: "unix:/d", Level: 4}, &Copy{},
		&Copied{ID: 9, Gone: true, Error: "not there"}, &Copied{},
		&BarrierRequest{ID: 9, Round: 3, Gather: true, Message: []byte("hello")}, &BarrierRequest{},
		&BarrierAnswer{IDs: []int64{9, -10}, Round: 3, Messages: [][]byte{[]byte("a"), []byte("bc")}, Error: "no"}, &BarrierAnswer{},
	}
}

func TestMessagesRoundTrip(t *testing.T) {
	seen := map[kind]bool{}
	for _, m := range samples() {
		frame := encode(m)
		seen[m.kind()] = true
		got := newMessage(kind(frame[0]))
		if err := decode(got, frame[1:]); err != nil {
			t.Errorf("%T: %v", m, err)
			continue
		}
		if !reflect.DeepEqual(got, m) {
			t.Errorf("%T came back as\n%+v, not\n%+v", m, got, m)
		}
		if again := encode(got); !bytes.Equal(again, frame) {
			t.Errorf("%T is not encoded the same way twice", m)
		}
	}
	for k := kindRegisterHost; k < kindEnd; k++ {
		if !seen[k] {
			t.Errorf("no sample of kind %d (%T)", k, newMessage(k))
		}
	}
	if newMessage(0) != nil || newMessage(kindEnd) != nil {
		t.Error("kinds outside of the list have messages")
	}
}

// Every field of the structs that others own must travel: one that is added there fails here, not in production.
func TestCountsAreComplete(t *testing.T) {
	var m TaskMetrics
	for i, c := range m.counts() {
		*c = int64(i + 1)
	}
	for _, v := range []reflect.Value{reflect.ValueOf(m), reflect.ValueOf(m.Shuffle)} {
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if f.IsExported() && f.Type.Kind() == reflect.Int64 && f.Name != "Run" && v.Field(i).Int() == 0 {
				t.Errorf("%s.%s does not travel", v.Type(), f.Name)
			}
		}
	}
}

func TestCutMessagesAreRefused(t *testing.T) {
	for _, m := range samples() {
		frame := encode(m)
		for n := 1; n < len(frame); n++ {
			if err := decode(newMessage(kind(frame[0])), frame[1:n]); !errors.Is(err, errMalformed) {
				t.Fatalf("%T cut to %d of %d bytes: error %v", m, n, len(frame), err)
			}
		}
		if err := decode(newMessage(kind(frame[0])), append(frame[1:], 0)); err == nil {
			t.Errorf("%T with a byte too many is taken", m)
		}
	}
}

// A list that claims more than its message holds is refused before memory is taken for it.
func TestHugeCountsCostNothing(t *testing.T) {
	body := binary.AppendUvarint(nil, 1<<40)
	for _, m := range []Message{&LaunchTasks{}, &TaskResults{}, &BlockUpdates{}, &Heartbeat{}, &Refused{}} {
		bytes := testing.AllocsPerRun(1, func() {
			if err := decode(m, body); err == nil {
				t.Errorf("%T takes 2^40 elements", m)
			}
		})
		if bytes > 50 {
			t.Errorf("%T: %v allocations", m, bytes)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, m := range samples() {
		f.Add(encode(m))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		if len(frame) == 0 {
			return
		}
		m := newMessage(kind(frame[0]))
		if m == nil || decode(m, frame[1:]) != nil {
			return
		}
		// What is accepted means the same when it is written again.
		again := newMessage(m.kind())
		if err := decode(again, encode(m)[1:]); err != nil {
			t.Fatalf("%+v: %v", m, err)
		}
		if !reflect.DeepEqual(m, again) {
			t.Fatalf("%+v came back as %+v", m, again)
		}
	})
}

func TestCause(t *testing.T) {
	for _, c := range []struct {
		exit ExecutorExited
		want string
	}{
		{ExecutorExited{Code: 42, Registered: true}, "the process exited with code 42"},
		{ExecutorExited{Code: 0, Registered: true}, "the process exited with code 0"},
		{ExecutorExited{Code: 2, Registered: true, Stderr: "panic: boom"}, "the process exited with code 2; its last lines:\npanic: boom"},
		{ExecutorExited{Signal: 9, Registered: true}, "the process was killed by signal 9 (killed), by hand or because the machine had no memory left"},
		{ExecutorExited{Signal: 11, Registered: true}, "the process was killed by signal 11 (segmentation fault)"},
		{ExecutorExited{Signal: 9, Killed: "silent", Registered: true}, "the process was killed: silent"},
		{ExecutorExited{Code: 7}, "the process exited with code 7 before it registered"},
		{ExecutorExited{Start: "no such file"}, "the process could not be started: no such file"},
	} {
		if got := c.exit.Cause(); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func BenchmarkResults(b *testing.B) {
	batch := &TaskResults{}
	loc := shuffle.Location{Executor: "0.1", Host: "host-0", Addr: "unix:/tmp/sparkgo-ABCDEFGH/host-0.sock", Dir: "/tmp/sparkgo-ABCDEFGH/host-0/blocks"}
	for i := range 64 {
		batch.Results = append(batch.Results, TaskResult{
			ID: int64(i), Stage: StageKey{3, 0}, Partition: i, Output: &shuffle.Output{Map: i, Attempt: int64(i), Location: loc, Sizes: []int64{100, 200, 300, 400}, Rows: 9},
			Metrics: TaskMetrics{Start: time.Now(), Run: time.Millisecond, RowsRead: 5},
		})
	}
	frame := encode(batch)
	b.Run("encode", func(b *testing.B) {
		w := writer{}
		for range b.N {
			w.buf, w.locations, w.lastIndex = w.buf[:0], nil, 0
			batch.write(&w)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/64, "ns/task")
	})
	b.Run("decode", func(b *testing.B) {
		for range b.N {
			var m TaskResults
			if err := decode(&m, frame[1:]); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/64, "ns/task")
		b.ReportMetric(float64(len(frame))/64, "B/task")
	})
}

func TestAddresses(t *testing.T) {
	for addr, want := range map[string]string{
		"unix:/a/b": "", "tcp:127.0.0.1:0": "", "tcp:[::1]:7": "", "": "neither", "unix:": "neither", "udp:1": "neither", "/a/b": "neither",
		"tls+unix:/a": "", "tls+tcp:10.0.0.1:7": "", "tls+": "neither", "tcp:10.0.0.1:7": "write tls+tcp:10.0.0.1:7", "tcp:localhost:7": "write tls+",
		"tcp:0.0.0.0:7": "every network", "tls+tcp:[::]:7": "every network", "tcp::7": "every network", "tcp:127.0.0.1": "missing port",
		"unix:/" + strings.Repeat("x", 200): "shorter folder",
	} {
		_, _, _, err := splitAddr(addr)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", addr, err, want)
		}
	}
}
