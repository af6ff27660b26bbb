package topology

import (
	"time"

	"gopkg.in/yaml.v3"
)

// BuiltinPlugin names a plug-in driver that comes with netsim.
type BuiltinPlugin string

// The plug-ins that come with netsim. PluginPTP is a network driver, whose containers have a cable each to their host;
// PluginSerial an address driver, which gives the address after the last one.
const (
	PluginPTP    BuiltinPlugin = "ptp"
	PluginSerial BuiltinPlugin = "serial"
)

// Plugin is a driver that all engines of the lab know by Name, beside their own.
type Plugin struct {
	Pos     Pos
	Name    string
	Builtin BuiltinPlugin // empty: a process that speaks Docker's remote IPAM protocol on Socket
	Socket  string        // the path of its unix socket, on the machine that runs the lab
	Timeout time.Duration // of one call; 0: the default
}

// plugins reads {corp: {socket: /run/docker/plugins/corp.sock}, links: {builtin: ptp}}.
func (r *reader) plugins(n *yaml.Node) []Plugin {
	var all []Plugin
	for _, e := range r.entries(n, "plugins") {
		p := Plugin{Pos: r.pos(e.key), Name: r.name(e.key, "plug-in")}
		var socketPos Pos
		before := len(r.errs)
		r.object(e.value, "a plug-in", fields{
			"builtin": choice(r, &p.Builtin, "builtin", PluginPTP, PluginSerial),
			"socket":  r.at(&socketPos, r.text(&p.Socket, "socket")),
			"timeout": r.duration(&p.Timeout, "timeout"),
		})
		switch {
		case len(r.errs) > before:
		case (p.Builtin == "") == (p.Socket == ""):
			r.fail(e.key, "plug-in %q needs one of \"socket\", the path of a process's unix socket, and \"builtin\", a driver that comes with netsim", clip(p.Name))
		case p.Builtin != "" && p.Timeout != 0:
			r.fail(e.key, "plug-in %q is builtin and takes no timeout", clip(p.Name))
		case len(p.Socket) > 107: // sun_path of sockaddr_un, with its final zero
			r.failAt(socketPos, "the path of a unix socket has up to 107 bytes; this one has %d", len(p.Socket))
		}
		switch Driver(p.Name) {
		case DriverBridge, DriverOverlay, DriverMacvlan, DriverIPVlan, DriverHost, DriverNull, "none", "default":
			r.fail(e.key, "plug-in %q has the name of a driver that every engine has; choose another", p.Name)
		}
		all = append(all, p)
	}
	return all
}
