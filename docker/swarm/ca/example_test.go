package ca_test

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/netsim-lab/netsim/docker/swarm/ca"
)

// A node joins: it has a token, and gets the root and then a certificate of a manager.
func Example() {
	luck := rand.New(rand.NewPCG(1, 2))
	at := time.Date(2017, 3, 1, 12, 0, 0, 0, time.UTC)
	authority, err := ca.New(ca.Config{Cluster: "2mo9n8zk0x"}, at, luck)
	if err != nil {
		fmt.Println(err)
		return
	}
	text := authority.Token(ca.Worker).String() // what docker swarm join-token -q worker prints

	token, _ := ca.ParseToken(text)
	fmt.Println("the root is the token's:", token.CheckRoot(authority.Root()) == nil)
	key, request, _ := ca.NewRequest(luck)

	chain, _ := authority.Issue(request, "9x2b7f", ca.Worker, at, luck)

	id, err := ca.NewIdentity(key, chain, authority.Root())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(id.Node, id.Role, "until", id.NotAfter.Format(time.DateOnly))
	// Output:
	// the root is the token's: true
	// 9x2b7f swarm-worker until 2017-05-30
}
