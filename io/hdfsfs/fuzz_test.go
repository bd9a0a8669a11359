package hdfsfs

import "testing"

// FuzzLocations: whatever the NameNode's HTTP server answers, it is a list or an error.
func FuzzLocations(f *testing.F) {
	f.Add([]byte(`{"BlockLocations":{"BlockLocation":[{"offset":0,"length":128,"hosts":["a","b"]}]}}`))
	f.Add([]byte(`{"BlockLocations":{"BlockLocation":[{"hosts":[null]}, null]}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		blocks, err := parseLocations(body)
		if err == nil && len(blocks) > len(body) {
			t.Fatalf("%d blocks of %d bytes", len(blocks), len(body))
		}
	})
}
