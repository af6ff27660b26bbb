package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/netsim-lab/netsim/lab"
	"github.com/netsim-lab/netsim/lab/topology"
)

const outsideHelp = `Programs of this machine reach into the lab by real ports. --expose 8080=host-a:8000, or expose: {8080: "host-a:8000"} in
the file, makes 127.0.0.1:8080 the port 8000 of host-a, as another machine on its wire sees it; NODE may also be a
container or a task, which is entered as itself. --proxy 127.0.0.1:1080=client is a SOCKS5 and HTTP proxy: what a browser
asks it for is resolved and connected to from client; without a node, from the first host that has no engine. Port 0 is
any that is free, which is printed. Nobody else reaches the ports unless another address is given: 0.0.0.0:8080=...`

// addOutsideFlags adds the flags for reaching into a lab from outside.
func addOutsideFlags(cmd *cobra.Command, o *runOptions) {
	f := cmd.Flags()
	f.StringArrayVar(&o.expose, "expose", nil, "make a port of a node one of this machine: [ADDRESS:]PORT=NODE:PORT")
	f.StringArrayVar(&o.proxies, "proxy", nil, "be a SOCKS5 and HTTP proxy into the lab: [ADDRESS:]PORT[=NODE]")
}

// outside adds the exposed ports of the flags to spec, and returns the proxies.
func outside(spec *topology.Spec, o runOptions) ([]lab.ProxyConfig, error) {
	var mistakes topology.Errors
	for _, text := range o.expose {
		if err := spec.ParseExpose(text); err != nil {
			mistakes = append(mistakes, err.(topology.Errors)...) //nolint:errorlint // it promises that
		}
	}
	if len(mistakes) > 0 {
		return nil, mistakes
	}
	var proxies []lab.ProxyConfig
	for _, text := range o.proxies {
		listen, node, _ := strings.Cut(text, "=")
		at, err := topology.ParseListen(listen)
		if err != nil {
			return nil, usagef("--proxy %s: %w; write 127.0.0.1:1080 or 127.0.0.1:1080=NODE", text, err)
		}
		proxies = append(proxies, lab.ProxyConfig{Listen: at, Node: node})
	}
	return proxies, nil
}
