package shell

import (
	"context"
	"sort"
	"strings"
)

// runApt is apt-get: install makes the tools of a package known (A11).
func runApt(ctx context.Context, c *Call) int {
	_, rest, err := getopt(c.Args[1:], "y q qq yes no-install-recommends fix-missing f assume-yes quiet")
	if err != nil || len(rest) == 0 {
		return c.fail(100, "usage: %s update | install [-y] PACKAGE...", c.name())
	}
	switch rest[0] {
	case "update":
		return c.updateLists(ctx)
	case "install":
		return c.install(rest[1:])
	}
	c.say("E: Invalid operation %s", rest[0])
	return 100
}

// aptNames are other names of packages.
var aptNames = map[string]string{"netcat-openbsd": "netcat", "bind9-dnsutils": "dnsutils", "bind9-host": "dnsutils", "inetutils-ping": "iputils-ping",
	"inetutils-traceroute": "traceroute", "inetutils-telnet": "telnet"}

func (c *Call) install(names []string) int {
	known := map[string]bool{}
	for _, e := range table {
		if e.pkg != "" {
			known[e.pkg] = true
		}
	}
	st := c.Sys.st()
	st.mu.Lock()
	defer st.mu.Unlock()
	c.Printf("Reading package lists...\nBuilding dependency tree...\nReading state information...\n")
	var fresh []string
	for _, n := range names {
		pkg := n
		if real, ok := aptNames[n]; ok {
			pkg = real
		}
		switch {
		case !known[pkg] || !st.updated && c.Sys.Flavour == Ubuntu:
			c.say("E: Unable to locate package %s", n)
			return 100
		case st.installed[pkg] || c.Sys.Flavour != Ubuntu:
			c.Printf("%s is already the newest version.\n", n)
		default:
			fresh = append(fresh, n)
			st.installed[pkg] = true
		}
	}
	sort.Strings(fresh)
	if len(fresh) > 0 {
		c.Printf("The following NEW packages will be installed:\n  %s\n", strings.Join(fresh, " "))
	}
	c.Printf("0 upgraded, %d newly installed, 0 to remove and 0 not upgraded.\n", len(fresh))
	for _, n := range fresh {
		c.Printf("Setting up %s ...\n", n)
	}
	return 0
}
