package api

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/pkg/stdcopy"
)

// run makes a container from JSON, pulls its image first, and starts it. It returns the id.
func (r *rig) run(name, config string) string {
	r.t.Helper()
	id := r.create(name, config)
	if status, body := r.do("POST", "/containers/"+id+"/start", ""); status != http.StatusNoContent {
		r.t.Fatalf("start %s: %d %s", name, status, body)
	}
	return id
}

func (r *rig) create(name, config string) string {
	r.t.Helper()
	var image struct{ Image string }
	if err := json.Unmarshal([]byte(config), &image); err != nil {
		r.t.Fatal(err)
	}
	if status, body := r.do("POST", "/images/create?fromImage="+image.Image+"&tag=latest", ""); status != http.StatusOK {
		r.t.Fatalf("pull %s: %d %s", image.Image, status, body)
	}
	status, body := r.do("POST", "/containers/create?name="+name, config)
	if status != http.StatusCreated {
		r.t.Fatalf("create %s: %d %s", name, status, body)
	}
	var made struct{ ID string }
	if err := json.Unmarshal([]byte(body), &made); err != nil {
		r.t.Fatal(err)
	}
	return made.ID
}

// hijack sends a request that becomes a stream, on the socket, and returns the connection and what is read from it.
func (r *rig) hijack(path, body string) (*net.UnixConn, *http.Response, *bufio.Reader) {
	r.t.Helper()
	conn, err := net.Dial("unix", r.socket)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		r.t.Fatal(err)
	}
	_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		path, len(body), body)
	if err != nil {
		r.t.Fatal(err)
	}
	br := bufio.NewReader(conn)
	resp, err := http.ReadResponse(br, nil)
	if err != nil {
		r.t.Fatalf("%s: %v", path, err)
	}
	return conn.(*net.UnixConn), resp, br
}

func (r *rig) exec(container, config string) string {
	r.t.Helper()
	status, body := r.do("POST", "/containers/"+container+"/exec", config)
	if status != http.StatusCreated {
		r.t.Fatalf("exec: %d %s", status, body)
	}
	var made struct{ ID string }
	if err := json.Unmarshal([]byte(body), &made); err != nil {
		r.t.Fatal(err)
	}
	return made.ID
}

const idle = `{"Image":"busybox","Cmd":["sleep","infinity"]}`

// TestExecStream looks at the bytes: the head of the answer, frames one for each write, half close, the end.
func TestExecStream(t *testing.T) {
	r := newRig(t)
	r.run("c1", idle)
	for _, row := range []struct{ name, version, config, stdin, contentType, out, err string }{
		{"frames", "/v1.50", `{"AttachStdout":true,"AttachStderr":true,"Cmd":["sh","-c","echo hi; echo oops >&2"]}`, "",
			"application/vnd.docker.multiplexed-stream", "hi\n", "oops\n"},
		{"before 1.42", "/v1.41", `{"AttachStdout":true,"AttachStderr":true,"Cmd":["echo","hi"]}`, "",
			"application/vnd.docker.raw-stream", "hi\n", ""},
		{"standard input up to its end", "/v1.50", `{"AttachStdin":true,"AttachStdout":true,"Cmd":["cat"]}`, "to and fro\n",
			"application/vnd.docker.multiplexed-stream", "to and fro\n", ""},
		{"standard output alone", "/v1.50", `{"AttachStdout":true,"Cmd":["sh","-c","echo hi; echo oops >&2"]}`, "",
			"application/vnd.docker.multiplexed-stream", "hi\n", ""},
	} {
		id := r.exec("c1", row.config)
		conn, resp, br := r.hijack(row.version+"/exec/"+id+"/start", `{"Detach":false,"Tty":false}`)
		if resp.StatusCode != http.StatusSwitchingProtocols || resp.Header.Get("Content-Type") != row.contentType || resp.Header.Get("Upgrade") != "tcp" {
			t.Errorf("%s: %d %v", row.name, resp.StatusCode, resp.Header)
		}
		if _, err := io.WriteString(conn, row.stdin); err != nil {
			t.Fatal(err)
		}
		if err := conn.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		var out, errOut strings.Builder
		if _, err := stdcopy.StdCopy(&out, &errOut, br); err != nil {
			t.Errorf("%s: %v", row.name, err)
		}
		if out.String() != row.out || errOut.String() != row.err {
			t.Errorf("%s: %q and %q; want %q and %q", row.name, &out, &errOut, row.out, row.err)
		}
		var info struct {
			Running  bool
			ExitCode *int
		}
		if r.get("/exec/"+id+"/json", &info); info.Running || info.ExitCode == nil || *info.ExitCode != 0 {
			t.Errorf("%s: inspect says %+v", row.name, info)
		}
	}
}

// TestExecOfGoneClient ends a command whose client has closed the connection both ways, and not one that sends no more.
func TestExecOfGoneClient(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("that a client has left is seen at once on Linux only")
	}
	r := newRig(t)
	r.run("c1", idle)
	id := r.exec("c1", `{"AttachStdin":true,"AttachStdout":true,"Tty":true,"Cmd":["sleep","1000"]}`)
	conn, _, _ := r.hijack("/exec/"+id+"/start", `{"Tty":true}`)
	running := func() bool {
		var info struct{ Running bool }
		r.get("/exec/"+id+"/json", &info)
		return info.Running
	}
	for late := soon(t); !running(); { // the head of the answer comes before the start
		if late.Err() != nil {
			t.Fatal("the command does not run")
		}
	}
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	for late := time.Now().Add(2 * gonePoll); time.Now().Before(late); {
		if !running() {
			t.Fatal("a half close ended the command")
		}
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	for late := time.Now().Add(20 * time.Second); running(); {
		if time.Now().After(late) {
			t.Fatal("the command runs on without its client")
		}
	}
}

// TestHalfOpenStreams leaves many streams half way: nothing stalls, and the end of the server ends them all.
func TestHalfOpenStreams(t *testing.T) {
	r := newRig(t)
	r.run("c1", `{"Image":"busybox","Cmd":["cat"],"OpenStdin":true}`)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range 300 {
		path := "/containers/c1/attach?stream=1&stdin=1&stdout=1&stderr=1"
		conn, resp, _ := r.hijack(path, "")
		if resp.StatusCode != http.StatusSwitchingProtocols {
			t.Fatalf("attach %d: %d", i, resp.StatusCode)
		}
		switch i % 3 {
		case 1:
			_ = conn.CloseWrite() // half
		case 2:
			_ = conn.Close()
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapInuse) - int64(before.HeapInuse); grown > 64<<20 {
		t.Errorf("300 streams take %d MiB", grown>>20)
	}
	began := time.Now()
	if status, body := r.do("GET", "/containers/c1/json", ""); status != http.StatusOK {
		t.Errorf("inspect = %d %s", status, body)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("a request beside them took %s", took)
	}
}

// TestAttachEndsBeforeWait sees the end of the output before the exit status (docker run relies on both).
func TestAttachEndsBeforeWait(t *testing.T) {
	r := newRig(t)
	id := r.create("c1", `{"Image":"busybox","Cmd":["sh","-c","echo bye; exit 7"],"AttachStdout":true}`)
	_, _, br := r.hijack("/containers/"+id+"/attach?stream=1&stdout=1&stderr=1", "")
	wait := r.open("POST", "/containers/"+id+"/wait?condition=next-exit", "") // its head comes before the start
	defer wait.Body.Close()                                                   //nolint:errcheck // it is read
	if wait.StatusCode != http.StatusOK || wait.Header.Get("Content-Type") != "application/json" {
		t.Errorf("wait: %d %v", wait.StatusCode, wait.Header)
	}
	if status, body := r.do("POST", "/containers/"+id+"/start", ""); status != http.StatusNoContent {
		t.Fatalf("start: %d %s", status, body)
	}
	var out strings.Builder
	if _, err := stdcopy.StdCopy(&out, io.Discard, br); err != nil || out.String() != "bye\n" {
		t.Errorf("output %q, %v", &out, err)
	}
	body, err := io.ReadAll(wait.Body)
	if err != nil || string(body) != `{"StatusCode":7}`+"\n" {
		t.Errorf("wait: %q, %v", body, err)
	}
	for _, row := range []struct {
		path   string
		status int
		text   string
	}{
		{"wait?condition=never", 400, `invalid condition: "never"`},
		{"resize?h=x&w=1", 400, `invalid resize height "x": strconv.ParseUint: parsing "x": invalid syntax`},
		{"stop?t=soon", 400, `invalid timeout "soon": give whole seconds, or -1 for no end`},
		{"rename", 400, "Neither old nor new names may be empty"},
		{"kill", 409, "cannot kill container: c1: container " + id + " is not running"},
	} {
		if status, body := r.do("POST", "/containers/c1/"+row.path, ""); status != row.status || body != errorText(row.text) {
			t.Errorf("%s: %d %s", row.path, status, body)
		}
	}
}

func TestLogsFollow(t *testing.T) {
	r := newRig(t)
	r.run("c1", `{"Image":"busybox","Tty":true,"OpenStdin":true,"Cmd":["cat"]}`)
	logs := r.open("GET", "/containers/c1/logs?follow=1&stdout=1&tail=all", "")
	defer logs.Body.Close() //nolint:errcheck // it is read
	if ct := logs.Header.Get("Content-Type"); ct != "application/vnd.docker.raw-stream" {
		t.Errorf("logs of a terminal: %s", ct)
	}
	conn, _, _ := r.hijack("/containers/c1/attach?stream=1&stdin=1&stdout=1", "")
	if _, err := io.WriteString(conn, "ahoy\r"); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(logs.Body).ReadString('\n')
	if err != nil || strings.TrimSpace(line) != "ahoy" {
		t.Errorf("a followed log: %q, %v", line, err)
	}
	if status, body := r.do("GET", "/containers/c1/logs", ""); status != 400 || body != errorText("Bad parameters: you must choose at least one stream") {
		t.Errorf("logs of no stream: %d %s", status, body)
	}
}

func TestEvents(t *testing.T) {
	r := newRig(t)
	stream := r.open("GET", `/events?filters={"type":["network"]}`, "") // the old form of filters
	defer stream.Body.Close()                                           //nolint:errcheck // it is read
	if status, body := r.do("POST", "/networks/create", `{"Name":"n1"}`); status != http.StatusCreated {
		t.Fatalf("create: %d %s", status, body)
	}
	var e events.Message
	if err := json.NewDecoder(stream.Body).Decode(&e); err != nil {
		t.Fatal(err)
	}
	if e.Type != "network" || e.Action != "create" || e.Actor.Attributes["name"] != "n1" || e.Scope != "local" || e.TimeNano/1e9 != e.Time {
		t.Errorf("event %+v", e)
	}
	for query, want := range map[string]string{
		`filters={"colour":["red"]}`: "invalid filter 'colour'",
		`filters=[`:                  "invalid filter: ",
		`since=yesterday`:            `invalid time "yesterday"`,
		`since=10&until=1`:           "`since` time (10) cannot be after `until` time (1)",
	} {
		if status, body := r.do("GET", "/events?"+query, ""); status != 400 || !strings.Contains(body, strings.ReplaceAll(want, `"`, `\"`)) {
			t.Errorf("%s: %d %s", query, status, body)
		}
	}
}

// TestStreamEndsWithTheServer has a follower and a terminal open while the server ends.
func TestStreamEndsWithTheServer(t *testing.T) {
	r := newRig(t)
	r.run("c1", idle)
	_, _, br := r.hijack("/containers/c1/attach?stream=1&stdout=1", "")
	logs := r.open("GET", "/containers/c1/logs?follow=1&stdout=1", "")
	defer logs.Body.Close() //nolint:errcheck // it is read
	r.stop()
	if _, err := br.ReadByte(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the stream goes on: %v", err)
	}
	if _, err := io.ReadAll(logs.Body); errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the log goes on: %v", err)
	}
}
