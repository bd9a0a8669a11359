package executor

import "testing"

// The memory that structures need not ask for stays a small part of small budgets.
func TestFloor(t *testing.T) {
	for _, c := range []struct{ total, want int64 }{{0, 64 << 10}, {3 << 20, 64 << 10}, {38 << 20, 38 << 14}, {64 << 20, 1 << 20}, {8 << 30, 1 << 20}} {
		if got := floor(c.total); got != c.want {
			t.Errorf("floor(%d) = %d, want %d", c.total, got, c.want)
		}
	}
}
