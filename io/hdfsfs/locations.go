package hdfsfs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/jcmturner/gokrb5/v8/spnego"

	"github.com/spark-go/spark-go/io/filesys"
)

const webLimit = 5 * time.Second // for one answer of a NameNode's HTTP server

// webClient asks the NameNodes' HTTP servers (WebHDFS) for what the client library does not tell: where blocks lie.
type webClient struct {
	fs     *FS
	client *http.Client
}

func (w *webClient) init(f *FS) {
	w.fs = f
	w.client = &http.Client{Timeout: webLimit, Transport: &http.Transport{
		DialContext:         (&net.Dialer{Timeout: webLimit}).DialContext,
		MaxIdleConnsPerHost: 16,
		IdleConnTimeout:     keepIdle,
	}}
}

func (w *webClient) close() { w.client.CloseIdleConnections() }

var errNoWeb = errors.New("no NameNode's HTTP address is known: set dfs.namenode.http-address in hdfs-site.xml")

// Locations describes the blocks of a file, by the names of their DataNodes' hosts. It needs dfs.namenode.http-address; without it, or if the server
// does not answer, tasks run anywhere.
func (f *FS) Locations(ctx context.Context, p string, offset, length int64) ([]filesys.Location, error) {
	err := errNoWeb
	for _, base := range f.cluster.web {
		var blocks []filesys.Location
		if blocks, err = f.web.locations(ctx, base, p, offset, length); err == nil {
			return blocks, nil
		}
	}
	if !isAnswer(err) && ctx.Err() == nil {
		f.odd.Do(func() {
			slog.Info("tasks are not placed near their data: the blocks' hosts are not known", "file system", f.uri, "error", err)
		})
	}
	return nil, f.fail("locate", p, err)
}

func (w *webClient) locations(ctx context.Context, base, p string, offset, length int64) ([]filesys.Location, error) {
	u, err := url.Parse(base)
	if err != nil {
		return nil, err
	}
	u.Path = "/webhdfs/v1" + p
	query := url.Values{"op": {"GETFILEBLOCKLOCATIONS"}, "offset": {strconv.FormatInt(offset, 10)}, "length": {strconv.FormatInt(length, 10)}}
	if w.fs.krb == nil {
		query.Set("user.name", w.fs.cluster.user)
	}
	u.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	var resp *http.Response
	if w.fs.krb != nil {
		login, err := w.fs.krb.login()
		if err != nil {
			return nil, err
		}
		resp, err = spnego.NewClient(login, w.client, "HTTP/"+u.Hostname()).Do(req)
		if err != nil {
			return nil, err
		}
	} else if resp, err = w.client.Do(req); err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, webError(resp.Status, body)
	}
	return parseLocations(body)
}

// webError is the Java exception of an answer.
func webError(status string, body []byte) error {
	var e struct {
		RemoteException struct{ Exception, Message string }
	}
	if json.Unmarshal(body, &e) == nil && e.RemoteException.Exception != "" {
		message, _, _ := strings.Cut(e.RemoteException.Message, "\n")
		return fmt.Errorf("the NameNode's HTTP server says %s: %s", e.RemoteException.Exception, message)
	}
	return fmt.Errorf("the NameNode's HTTP server says %s", status)
}

// parseLocations reads the answer to GETFILEBLOCKLOCATIONS.
func parseLocations(body []byte) ([]filesys.Location, error) {
	var answer struct {
		BlockLocations struct {
			BlockLocation []struct {
				Offset, Length int64
				Hosts          []string
			}
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("read the NameNode's answer: %w", err)
	}
	blocks := make([]filesys.Location, len(answer.BlockLocations.BlockLocation))
	for i, b := range answer.BlockLocations.BlockLocation {
		blocks[i] = filesys.Location{Offset: b.Offset, Length: b.Length, Hosts: b.Hosts}
	}
	return blocks, nil
}
