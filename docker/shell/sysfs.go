package shell

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/netsim-lab/netsim/netns"
)

// sysNet is where the kernel tells of interfaces.
const sysNet = "/sys/class/net"

// interfaceFiles are the files of an interface below sysNet, by name.
func interfaceFiles(i *netns.Interface) map[string]any {
	st := i.Read()
	return map[string]any{"address": i.MAC(), "broadcast": "ff:ff:ff:ff:ff:ff", "mtu": i.MTU(), "ifindex": i.Index(), "iflink": cmp.Or(i.PeerIndex(), i.Index()),
		"operstate": strings.ToLower(operState(i)), "carrier": flag(i.Carrier() && i.Up()), "tx_queue_len": queueLength(i),
		"statistics/rx_bytes": st.RxBytes, "statistics/tx_bytes": st.TxBytes, "statistics/rx_packets": st.RxFrames, "statistics/tx_packets": st.TxFrames,
		"statistics/rx_dropped": st.Dropped(), "statistics/tx_dropped": 0, "statistics/rx_errors": 0, "statistics/tx_errors": 0, "statistics/collisions": 0}
}

// sysfs returns a file of sysNet.
func (s *System) sysfs(p string) ([]byte, bool) {
	rest, ok := strings.CutPrefix(p, sysNet+"/")
	name, attr, both := strings.Cut(rest, "/")
	if !ok || !both || s.NS == nil {
		return nil, false
	}
	i, ok := s.NS.Interface(name)
	if !ok {
		return nil, false
	}
	v, ok := interfaceFiles(i)[attr]
	return fmt.Appendf(nil, "%v\n", v), ok
}

// sysfsDir returns what is in a directory of sysNet; nil: it is none.
func (s *System) sysfsDir(p string) []string {
	if p != sysNet && !strings.HasPrefix(p, sysNet+"/") || s.NS == nil {
		return nil
	}
	names := []string{}
	if p == sysNet {
		for _, i := range s.NS.Interfaces() {
			names = append(names, i.Name())
		}
		return names
	}
	name, below, _ := strings.Cut(strings.TrimPrefix(p, sysNet+"/"), "/")
	i, ok := s.NS.Interface(name)
	if !ok || below != "" && below != "statistics" {
		return nil
	}
	for file := range interfaceFiles(i) {
		dir, base, deep := strings.Cut(file, "/")
		switch {
		case below == "":
			names = append(names, dir)
		case deep && dir == below:
			names = append(names, base)
		}
	}
	return names
}
