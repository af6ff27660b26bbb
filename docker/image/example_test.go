package image_test

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/netsim-lab/netsim/docker/image"
)

// loopback is a Net of one host whose only address is 127.0.0.1.
type loopback struct{ listening chan net.Addr }

func (l loopback) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, network, address)
}

func (l loopback) Listen(ctx context.Context, network, _ string) (net.Listener, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, network, "127.0.0.1:0")
	if err == nil {
		l.listening <- listener.Addr()
	}
	return listener, err
}

func Example() {
	redis, err := image.Lookup("docker.io/library/redis:3")
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	lo := loopback{make(chan net.Addr, 1)}
	exited := make(chan int)
	go func() {
		exited <- redis.Run(ctx, &image.Process{Args: redis.Argv(nil, nil), Hostname: "cat-db", Net: lo})
	}()

	conn, err := lo.Dial(ctx, "tcp", (<-lo.listening).String())
	if err != nil {
		fmt.Println(err)
		return
	}
	client := image.NewRedisClient(conn)
	for _, command := range [][]string{{"LPUSH", "hits", "tabby", "calico"}, {"LRANGE", "hits", "0", "-1"}} {
		reply, err := client.Do(ctx, command...)
		if err != nil {
			fmt.Println(err)
		}
		fmt.Print(image.FormatReply(reply))
	}
	_ = client.Close()
	cancel()
	fmt.Println("exit", <-exited)
	// Output:
	// (integer) 2
	// 1) "calico"
	// 2) "tabby"
	// exit 0
}

func ExampleLookup() {
	_, err := image.Lookup("reddis")
	var missing *image.NotFoundError
	if errors.As(err, &missing) {
		near, _ := image.Suggest(missing.Name)
		fmt.Printf("no image %s; did you mean %q?\n", missing.Name, near)
	}
	// Output: no image reddis; did you mean "redis"?
}
