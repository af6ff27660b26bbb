package rpc_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net"
	"time"

	"github.com/netsim-lab/netsim/docker/swarm/ca"
	"github.com/netsim-lab/netsim/docker/swarm/rpc"
)

// A node without a certificate asks a manager for the root of its swarm.
func Example() {
	luck := rand.New(rand.NewPCG(1, 2))
	authority, _ := ca.New(ca.Config{Cluster: "cluster1"}, time.Now(), luck)
	key, request, _ := ca.NewRequest(luck)
	chain, _ := authority.Issue(request, "node1", ca.Manager, time.Now(), luck)
	id, err := ca.NewIdentity(key, chain, authority.Root())
	if err != nil {
		fmt.Println(err)
		return
	}
	server := &rpc.Server{Cluster: "cluster1", TLS: func() *tls.Config { return id.ServerTLS(nil) }}
	server.Handle("root", func(context.Context, rpc.Request) ([]byte, error) { return authority.Root(), nil })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- server.Serve(ctx, l) }()

	var d net.Dialer
	client := &rpc.Client{Dial: d.DialContext, TLS: ca.BootstrapTLS}
	root, err := client.Call(ctx, l.Addr().String(), "root", nil)
	client.Close()
	fmt.Println(authority.Token(ca.Worker).CheckRoot(root), err)
	stop()
	fmt.Println(<-ended)
	// Output:
	// <nil> <nil>
	// <nil>
}
