// Package wheel gives tests the data sets that Python packages carry and that this repository may not: it downloads a package once,
// keeps it in the user's cache, and holds what it finds there against a digest. Nothing of it is installed or run.
package wheel

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
)

// Wheel names a file of the Python Package Index.
type Wheel struct {
	Package string // "recbole"
	Version string // "1.2.1"
	File    string // "recbole-1.2.1-py3-none-any.whl"
	SHA256  string // of the file, in hexadecimal
}

// MovieLens100k carries the 100,000 ratings of GroupLens, which may be used for research but not passed on, as
// recbole/dataset_example/ml-100k/ml-100k.inter in the order of the original file u.data.
var MovieLens100k = Wheel{"recbole", "1.2.1", "recbole-1.2.1-py3-none-any.whl", "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407"}

// Open opens the wheel, which is a zip file, from $XDG_CACHE_HOME/spark-go-ci/wheels (~/.cache if unset). A file that is missing there or
// damaged is downloaded first: by pip, which knows the user's mirrors, or else from https://pypi.org. The error says why neither
// worked; tests skip with it.
func Open(ctx context.Context, w Wheel) (*zip.ReadCloser, error) {
	z, err := open(ctx, w)
	if err != nil {
		return nil, fmt.Errorf("fetch %s %s from the Python Package Index: %w", w.Package, w.Version, err)
	}
	return z, nil
}

func open(ctx context.Context, w Wheel) (*zip.ReadCloser, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(cache, "spark-go-ci", "wheels")
	path := filepath.Join(dir, w.File)
	if check(path, w.SHA256) != nil {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
		scratch, err := os.MkdirTemp(dir, "fetch-")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(scratch)
		fresh := filepath.Join(scratch, w.File)
		if err := byPip(ctx, w, scratch); err != nil {
			if direct := byHTTP(ctx, w, fresh); direct != nil {
				return nil, errors.Join(err, direct)
			}
		}
		if err := check(fresh, w.SHA256); err != nil {
			return nil, err
		}
		// Whoever fetches at the same time renames the same bytes.
		if err := os.Rename(fresh, path); err != nil {
			return nil, err
		}
	}
	return zip.OpenReader(path)
}

func check(path, want string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if sum := sha256.Sum256(b); hex.EncodeToString(sum[:]) != want {
		return fmt.Errorf("the SHA-256 of %s is %x, not %s", path, sum, want)
	}
	return nil
}

func byPip(ctx context.Context, w Wheel, dir string) error {
	out, err := exec.CommandContext(ctx, "python3", "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
		"--only-binary", ":all:", "--dest", dir, w.Package+"=="+w.Version).CombinedOutput()
	if err != nil {
		return fmt.Errorf("python3 -m pip download: %w: %s", err, out[max(0, len(out)-300):])
	}
	return nil
}

func byHTTP(ctx context.Context, w Wheel, path string) error {
	var release struct {
		URLs []struct {
			Filename string `json:"filename"`
			URL      string `json:"url"`
		} `json:"urls"`
	}
	index, err := get(ctx, fmt.Sprintf("https://pypi.org/pypi/%s/%s/json", w.Package, w.Version))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(index, &release); err != nil {
		return fmt.Errorf("read the index of https://pypi.org: %w", err)
	}
	for _, u := range release.URLs {
		if u.Filename == w.File {
			b, err := get(ctx, u.URL)
			if err != nil {
				return err
			}
			return os.WriteFile(path, b, 0o644)
		}
	}
	return fmt.Errorf("https://pypi.org has no file %s", w.File)
}

func get(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("get %s: %s", url, resp.Status)
	}
	return io.ReadAll(io.LimitReader(resp.Body, 1<<28))
}
