package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/netsim-lab/netsim/lab"
)

// listening returns one of the real sockets of the lab that runs.
func listening(ts *testscript.TestScript, index string) lab.Listening {
	ts.Check(ts.Exec("netsim", "ps", "--json"))
	var all []lab.Info
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &all))
	i, err := strconv.Atoi(index)
	ts.Check(err)
	if len(all) != 1 || i >= len(all[0].Listening) {
		ts.Fatalf("there is no socket %d: %+v", i, all)
	}
	return all[0].Listening[i]
}

// cmdFetch gets a page of a real socket of the lab that runs, or any by one that is a proxy.
func cmdFetch(ts *testscript.TestScript, neg bool, args []string) {
	var (
		tr      http.Transport
		address string
	)
	switch {
	case neg || len(args) != 1 && len(args) != 3:
		ts.Fatalf("usage: fetch SOCKET or fetch URL SCHEME SOCKET")
	case len(args) == 1:
		address = "http://" + listening(ts, args[0]).Listen + "/"
	default:
		address = args[0]
		tr.Proxy = http.ProxyURL(&url.URL{Scheme: args[1], Host: listening(ts, args[2]).Listen})
	}
	defer tr.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	ts.Check(err)
	resp, err := (&http.Client{Transport: &tr}).Do(req)
	ts.Check(err)
	defer resp.Body.Close() //nolint:errcheck // it was read
	body, err := io.ReadAll(resp.Body)
	ts.Check(err)
	fmt.Fprintf(ts.Stdout(), "%s\n%s", resp.Status, body) //nolint:errcheck // the script will tell
}

// cmdInUse runs a lab that wants the port of a real socket of the one that runs, which must fail.
func cmdInUse(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: inuse SOCKET FILE")
	}
	cmdStatus(ts, false, []string{"1", "netsim", "up", args[1], "--expose", listening(ts, args[0]).Listen + "=host-a:80"})
}

// cmdNonEmpty waits until a file has something in it, for at most 20 s.
func cmdNonEmpty(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: nonempty FILE")
	}
	cmdRetry(ts, false, []string{"test", "-s", ts.MkAbs(args[0])})
}
