package directory

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"

	"github.com/netsim-lab/netsim/docker/cnm"
	"github.com/netsim-lab/netsim/fabric/wire"
)

// Bounds of what others may say of one endpoint. A packet of gossip holds less in any case.
const (
	maxValue = 4096 // bytes of an entry
	maxName  = 512  // bytes of a name; a task's is made of those of its service, slot or node, and an id
	maxNames = 64   // aliases of one kind
	maxPorts = 128
)

// endpoint is an entry of endpoint_table (C7).
type endpoint struct {
	Name     string       `json:"name,omitempty"`
	Aliases  []string     `json:"aliases,omitempty"`
	IP       netip.Prefix `json:"ip"`
	Disabled bool         `json:"disabled,omitempty"`
	Service  *service     `json:"service,omitempty"`
}

type service struct {
	ID      string     `json:"id"`
	Name    string     `json:"name"`
	VIP     netip.Addr `json:"vip"`
	Aliases []string   `json:"aliases,omitempty"`
	Task    string     `json:"task,omitempty"`
	Ports   []port     `json:"ports,omitempty"`
}

type port struct {
	Proto     string `json:"proto"`
	Published uint16 `json:"published"`
	Target    uint16 `json:"target"`
	Name      string `json:"name,omitempty"`
}

// peer is an entry of overlay_peer_table (O8).
type peer struct {
	IP   netip.Prefix `json:"ip"`
	MAC  wire.MAC     `json:"mac"`
	VTEP netip.Addr   `json:"vtep"`
}

// encode returns the two entries of a record.
func encode(r cnm.Record) (endpointValue, peerValue []byte, err error) {
	e := endpoint{Name: r.Name, Aliases: r.Aliases, IP: r.IP, Disabled: r.Disabled}
	if s := r.Service; s != nil {
		e.Service = &service{ID: s.ServiceID, Name: s.ServiceName, VIP: s.VIP, Aliases: s.Aliases, Task: s.TaskName}
		for _, p := range s.IngressPorts {
			e.Service.Ports = append(e.Service.Ports, port(p))
		}
	}
	if endpointValue, err = json.Marshal(e); err != nil {
		return nil, nil, err
	}
	peerValue, err = json.Marshal(peer{IP: r.IP, MAC: r.MAC, VTEP: r.VTEP})
	return endpointValue, peerValue, err
}

var errTooLong = errors.New("it is too long")

// decodeEndpoint fills in what an entry of endpoint_table says.
func decodeEndpoint(b []byte, r *cnm.Record) error {
	if len(b) > maxValue {
		return errTooLong
	}
	var e endpoint
	if err := json.Unmarshal(b, &e); err != nil {
		return err
	}
	if err := e.check(); err != nil {
		return err
	}
	r.Name, r.Aliases, r.IP, r.Disabled, r.Service = e.Name, e.Aliases, e.IP, e.Disabled, nil
	if s := e.Service; s != nil {
		r.Service = &cnm.ServiceBinding{ServiceID: s.ID, ServiceName: s.Name, VIP: s.VIP, Aliases: s.Aliases, TaskName: s.Task}
		for _, p := range s.Ports {
			r.Service.IngressPorts = append(r.Service.IngressPorts, cnm.PortConfig(p))
		}
	}
	return nil
}

// decodePeer fills in what an entry of overlay_peer_table says.
func decodePeer(b []byte, r *cnm.Record) error {
	if len(b) > maxValue {
		return errTooLong
	}
	var p peer
	if err := json.Unmarshal(b, &p); err != nil {
		return err
	}
	switch {
	case !unicast(p.IP.Addr()):
		return fmt.Errorf("address %s is that of no endpoint", p.IP)
	case !unicast(p.VTEP):
		return fmt.Errorf("address %s is that of no tunnel", p.VTEP)
	case p.MAC.IsZero() || p.MAC.IsMulticast():
		return fmt.Errorf("hardware address %s is that of no endpoint", p.MAC)
	}
	r.IP, r.MAC, r.VTEP = p.IP, p.MAC, p.VTEP
	return nil
}

func unicast(a netip.Addr) bool {
	return a.Is4() && !a.IsUnspecified() && !a.IsMulticast() && !a.IsLoopback() && a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

func (e *endpoint) check() error {
	if !unicast(e.IP.Addr()) {
		return fmt.Errorf("address %s is that of no endpoint", e.IP)
	}
	names := [][]string{{e.Name}, e.Aliases}
	if s := e.Service; s != nil {
		if s.ID == "" || s.Name == "" {
			return errors.New("a service has no name")
		}
		if s.VIP.IsValid() && !unicast(s.VIP) {
			return fmt.Errorf("address %s is that of no service", s.VIP)
		}
		if err := checkPorts(s.Ports); err != nil {
			return err
		}
		names = append(names, []string{s.ID, s.Name, s.Task}, s.Aliases)
	}
	for _, list := range names {
		if len(list) > maxNames {
			return fmt.Errorf("it has %d names; %d at most", len(list), maxNames)
		}
		for _, n := range list {
			if len(n) > maxName {
				return fmt.Errorf("name %.20q… has %d bytes; %d at most", n, len(n), maxName)
			}
		}
	}
	return nil
}

func checkPorts(ports []port) error {
	if len(ports) > maxPorts {
		return fmt.Errorf("it has %d ports; %d at most", len(ports), maxPorts)
	}
	for _, p := range ports {
		if p.Proto != "tcp" && p.Proto != "udp" || p.Published == 0 || p.Target == 0 || len(p.Name) > maxName {
			return fmt.Errorf("port %d to %d/%.10s makes no sense", p.Published, p.Target, p.Proto)
		}
	}
	return nil
}
