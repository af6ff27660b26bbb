package lab

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/netsim-lab/netsim/docker/engine"
	"github.com/netsim-lab/netsim/docker/shell"
	"github.com/netsim-lab/netsim/netns"
)

const (
	// requestTimeout is how long a client has to say what it wants.
	requestTimeout = 5 * time.Second
	// farewell is how long a client has to take what is left for it when the lab ends, and a command that Ctrl-C ended
	// for its last words.
	farewell = 200 * time.Millisecond
	// maxClients is how many connections are served at once.
	maxClients = 256
)

// serveControl answers clients until ctx ends.
func (l *Lab) serveControl(ctx context.Context, ln net.Listener) error {
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() }) // Accept returns
	defer stop()
	var clients sync.WaitGroup
	defer clients.Wait()
	room := make(chan struct{}, maxClients)
	for {
		conn, err := ln.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("serve the control socket: %w", err)
		}
		select {
		case room <- struct{}{}:
		default:
			_ = conn.Close() // one too many
			continue
		}
		clients.Go(func() {
			defer func() { <-room }()
			l.serveClient(ctx, conn)
		})
	}
}

// serveClient answers the request of one connection.
func (l *Lab) serveClient(ctx context.Context, conn net.Conn) {
	defer func() { _ = conn.Close() }() // all was written, or cannot be
	_ = conn.SetReadDeadline(time.Now().Add(requestTimeout))
	leave := context.AfterFunc(ctx, func() {
		_ = conn.SetReadDeadline(time.Unix(1, 0))
		_ = conn.SetWriteDeadline(time.Now().Add(farewell))
	})
	defer leave()
	f := newFrames(conn)
	kind, body, err := f.read()
	if err != nil || kind != frameRequest {
		return
	}
	if ctx.Err() == nil {
		_ = conn.SetReadDeadline(time.Time{})
	}
	var req request
	a := answer{}
	if err := json.Unmarshal(body, &req); err != nil {
		a.Error = "the request cannot be read: " + err.Error()
	} else if req.Version != protocolVersion {
		a.Error = fmt.Sprintf("the lab speaks version %d of the control protocol, and this is version %d: use the netsim that runs it",
			protocolVersion, req.Version)
	} else {
		a = l.answer(ctx, f, &req)
	}
	if err := f.writeJSON(frameAnswer, a); err != nil && ctx.Err() == nil {
		l.log.Debug("control client left", "error", err)
	}
	if req.Op == opDown && a.Error == "" {
		l.Down()
	}
}

// answer does what a request asks for.
func (l *Lab) answer(ctx context.Context, f *frames, req *request) answer {
	switch req.Op {
	case opHello, opDown:
		return answer{Info: &Info{
			Name: l.spec.Name, Description: l.spec.Description, PID: os.Getpid(), Started: l.startTime(), Dir: Dir(l.spec.Name), Listening: l.Listening(),
			Switches: slices.Sorted(maps.Keys(l.phys.switches)),
		}}
	case opNodes:
		return answer{Nodes: l.nodeInfos()}
	case opExec:
		if req.Exec != nil {
			return l.serveExec(ctx, f, *req.Exec)
		}
	case opExplain:
		if req.Exec != nil {
			return l.serveExplain(ctx, f, *req.Exec)
		}
	case opLink:
		if req.Link != nil {
			return l.serveLink(*req.Link)
		}
	case opPartition:
		if req.Partition != nil {
			return l.servePartition(*req.Partition)
		}
	case opSwarm:
		if req.Swarm != nil {
			return l.serveSwarm(ctx, *req.Swarm)
		}
	case opTAP:
		if req.TAP != nil {
			return l.serveTAP(ctx, f, *req.TAP)
		}
	case opCapture:
		if req.Capture != nil {
			return l.serveCapture(ctx, f, *req.Capture)
		}
	}
	return answer{Error: fmt.Sprintf("the lab does not know the request %q", req.Op)}
}

func (l *Lab) nodeInfos() []NodeInfo {
	var all []NodeInfo
	for _, n := range l.Nodes() {
		all = append(all, n.Info())
	}
	return all
}

// Info returns what a node is and which interfaces it has.
func (n *Node) Info() NodeInfo {
	info := NodeInfo{Name: n.name, Kind: n.kind, Host: n.host, Ifaces: []InterfaceInfo{}}
	if c := n.container; c != nil {
		info.Container, info.ID, info.Image = c.Name(), c.ID(), c.Image().Ref()
	}
	if n.kind == KindHost {
		info.Docker = n.lab.dockerPath(n.name)
	}
	if k := n.kernel(); k != nil {
		info.Netns, info.Ifaces = k.namespace().Path(), k.info()
		return info
	}
	for _, i := range n.ns.Interfaces() {
		ii := InterfaceInfo{Name: i.Name(), MTU: i.MTU(), Up: i.Up()}
		if i.Kind() != netns.KindLoopback {
			ii.MAC = i.MAC().String()
		}
		for _, a := range i.Addrs() {
			ii.Addrs = append(ii.Addrs, a.String())
		}
		info.Ifaces = append(info.Ifaces, ii)
	}
	return info
}

// serveExec runs a command for a client until it ends, the client leaves or the lab ends.
func (l *Lab) serveExec(ctx context.Context, f *frames, req ExecRequest) answer {
	node, err := l.Lookup(req.Node)
	if err != nil {
		return answer{Error: err.Error(), Exit: 1}
	}
	return l.serveCommand(ctx, f, req, func(ctx context.Context, stdio shell.Stdio) (int, error) { return node.do(ctx, req, stdio) })
}

// serveCommand has run run a command for a client, with the client's input and output.
func (l *Lab) serveCommand(ctx context.Context, f *frames, req ExecRequest, run func(context.Context, shell.Stdio) (int, error)) answer {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	in, stdio := f.stdio(req)
	var reader sync.WaitGroup
	reader.Go(func() { f.receive(in, cancel) })
	defer reader.Wait()
	defer func() { _ = f.conn.SetReadDeadline(time.Unix(1, 0)) }() // the reader ends
	defer in.close()
	exit, err := run(ctx, stdio)
	a := answer{Exit: exit}
	if err != nil {
		a.Error = err.Error()
	}
	return a
}

// receive takes a client's input until the client leaves or the reads end. stop ends the command.
func (f *frames) receive(in input, stop func()) {
	for {
		kind, body, err := f.read()
		switch {
		case err != nil:
			stop()
			in.end()
			return
		case kind == frameStop:
			stop()
		case kind == frameIn:
			in.put(body)
		case kind == frameInEnd:
			in.end()
		case kind == frameSize && len(body) == 4:
			in.resize(engine.Size{Rows: binary.BigEndian.Uint16(body), Cols: binary.BigEndian.Uint16(body[2:])})
		}
	}
}
