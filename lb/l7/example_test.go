package l7_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"

	"github.com/netsim-lab/netsim/lb/l7"
)

// A router leads a request to the service whose label has its host.
func ExampleRouter() {
	red := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "RED") }))
	defer red.Close()

	claims, err := l7.Claims("red", map[string]string{l7.Label: "8080=http://red.example.com"}, []uint16{8080})
	if err != nil {
		fmt.Println(err)
		return
	}
	route := claims[0].Route
	route.Backends = []l7.Backend{{Addr: netip.MustParseAddrPort(red.Listener.Addr().String())}}
	r := l7.New(l7.Config{Dial: new(net.Dialer).DialContext})
	if err := r.SetRoutes([]l7.Route{route}); err != nil {
		fmt.Println(err)
		return
	}

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	done := make(chan error)
	go func() { done <- r.Serve(ctx, l) }()
	for _, host := range []string{"red.example.com", "blue.example.com"} {
		req, _ := http.NewRequest(http.MethodGet, "http://"+l.Addr().String(), nil)
		req.Host, req.Close = host, true
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(host, resp.Status)
		_ = resp.Body.Close()
	}
	stop()
	fmt.Println(<-done)
	// Output:
	// red.example.com 200 OK
	// blue.example.com 503 Service Unavailable
	// <nil>
}
