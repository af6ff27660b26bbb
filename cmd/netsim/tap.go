package main

import (
	"fmt"
	"net/netip"

	"github.com/spf13/cobra"

	"github.com/netsim-lab/netsim/lab"
)

// tapFlags are what tap was told.
type tapFlags struct {
	name, netns, lab     string
	address, hostAddress string
}

func tapCommand() *cobra.Command {
	var given tapFlags
	cmd := &cobra.Command{
		Use:   "tap SWITCH|NODE",
		Short: "Plug a TAP device of this machine into a running lab",
		Long: `Make a TAP device of this machine's kernel and plug it into a switch or node of a running lab, until Ctrl-C: what the
kernel sends out of the device enters the lab, and the other way round. A switch gets a port; a host, router or
container an interface of the device's name, with the address that --host-address says.

It is the lab's process that makes the device, so that has to be allowed to: start the lab with sudo, or give netsim
the right with "sudo setcap cap_net_admin+ep". Without either it takes a device that root has made for you and set up:
  sudo ip tuntap add tap0 mode tap user $USER
  sudo ip addr add 192.168.1.50/24 dev tap0
  sudo ip link set tap0 up
Such a device stays when it is unplugged. In a topology "tap:" of a switch or host does the same.`,
		Example: `  sudo netsim tap tor --address 192.168.1.50/24          # and then: curl http://192.168.1.3:8000/
  netsim tap tor --name tap0                            # a device that root made for this user
  sudo netsim tap tor --netns blue --name eth0 --address 192.168.1.51/24
  sudo netsim tap host-a --host-address 10.9.0.1/24 --address 10.9.0.2/24`,
		Args:              exactly(1, "SWITCH|NODE"),
		ValidArgsFunction: completeMachine,
		RunE: func(cmd *cobra.Command, args []string) error {
			r := lab.TAPRequest{Node: args[0], Name: given.name, Netns: given.netns}
			var err error
			if r.Address, err = parseAddress("address", given.address); err != nil {
				return err
			}
			if r.HostAddress, err = parseAddress("host-address", given.hostAddress); err != nil {
				return err
			}
			return given.run(cmd, r)
		},
	}
	f := cmd.Flags()
	f.StringVar(&given.name, "name", "", "the device's name; empty: the kernel's next, tap0 and so on")
	f.StringVar(&given.address, "address", "", "address of the kernel's end: 192.168.1.50/24")
	f.StringVar(&given.hostAddress, "host-address", "", "address of the node's end: 10.9.0.1/24; a switch has none")
	f.StringVar(&given.netns, "netns", "", "network namespace of the device, as ip netns names it or as a path")
	addLabFlag(cmd, &given.lab)
	return cmd
}

func parseAddress(flag, text string) (netip.Prefix, error) {
	if text == "" {
		return netip.Prefix{}, nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil || !p.Addr().Is4() {
		return p, usagef("--%s cannot be %q: write an address and prefix length like 192.168.1.50/24", flag, text)
	}
	return p, nil
}

// run plugs the device in until the command is interrupted.
func (g *tapFlags) run(cmd *cobra.Command, r lab.TAPRequest) error {
	ctx := cmd.Context()
	c, err := lab.Await(ctx, g.lab, startingUp)
	if err != nil {
		return err
	}
	return c.TAP(ctx, r, func(i lab.TAPInfo) {
		how := "trains pass whole"
		if !i.Whole {
			how = "frame by frame"
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s is plugged into %s (%s); Ctrl-C unplugs it\n", i.Name, i.Node, how) //nolint:errcheck // there is nobody else to tell
	})
}
