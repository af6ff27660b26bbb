package lab_test

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/netsim-lab/netsim/docker/shell"
	"github.com/netsim-lab/netsim/fabric/wire"
	"github.com/netsim-lab/netsim/lab"
	"github.com/netsim-lab/netsim/lab/topology"
)

// A network built in Go: two hosts on a switch, a connection between them, and what of it was on the wire.
func ExampleBuilder() {
	b := lab.NewBuilder()
	sw := b.Switch("s1")
	b.Link(b.Host("client", "10.0.0.1/24"), sw)
	b.Link(b.Host("server", "10.0.0.2/24"), sw)
	spec, err := b.Spec()
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	l, err := lab.Start(ctx, spec, lab.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer l.Stop()

	wireTap, err := l.MustNode("server").Capture("eth0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer wireTap.Stop()
	ln, err := l.MustNode("server").Listen("tcp", ":80")
	if err != nil {
		fmt.Println(err)
		return
	}
	go func() {
		if conn, err := ln.Accept(); err == nil {
			io.WriteString(conn, "hello\n")
			conn.Close()
		}
	}()
	conn, err := l.MustNode("client").Dial(ctx, "tcp", "server:80")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	text, _ := io.ReadAll(conn)
	fmt.Print(string(text))
	syn, err := wireTap.Wait(ctx, func(p lab.Packet) bool { return p.TCPFlags == wire.SYN })
	fmt.Println(syn.Src, "->", syn.Dst, err)
	// Output:
	// hello
	// 10.0.0.1 -> 10.0.0.2 <nil>
}

// A topology file, one of its hosts, and a command on it.
func ExampleStart() {
	spec, err := topology.Parse("example.yaml", []byte(`
netsim: 1
fabric:
  switches: {tor: {}}
  hosts:
    host-a: {links: {tor: 192.168.1.2/24}}
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	l, err := lab.Start(context.Background(), spec, lab.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer l.Stop()
	var out outLines
	exit, err := l.MustNode("host-a").Run(context.Background(), "hostname; false", shell.Stdio{Out: &out})
	fmt.Println(string(out), exit, err)
	// Output: host-a
	//  1 <nil>
}

// outLines is what a command prints.
type outLines []byte

func (o *outLines) Write(b []byte) (int, error) {
	*o = append(*o, b...)
	return len(b), nil
}
