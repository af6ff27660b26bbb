package shell

import (
	"context"
	"sort"
)

// apkNames are alpine's names of packages that have another one in the table of tools.
var apkNames = map[string]string{"bind-tools": "dnsutils", "netcat-openbsd": "netcat", "iputils": "iputils-ping", "conntrack-tools": "conntrack",
	"redis": "redis-tools", "busybox-extras": "telnet"}

// runApk is alpine's apk: update, add and del. The tools of packages are built in; nothing is fetched.
func runApk(_ context.Context, c *Call) int {
	opts, rest, err := getopt(c.Args[1:], "U q no-cache update-cache update quiet no-progress")
	if err != nil || len(rest) == 0 {
		return c.fail(1, "usage: apk update | add [--no-cache] PACKAGE... | del PACKAGE...")
	}
	st := c.Sys.st()
	st.mu.Lock()
	defer st.mu.Unlock()
	fresh := opts.has("U", "no-cache", "update-cache", "update")
	switch rest[0] {
	case "update":
		st.updated = true
		c.Printf("OK: %d distinct packages available\n", len(apkPackages()))
	case "add":
		return c.apkAdd(st, rest[1:], fresh || st.updated)
	case "del":
		for _, name := range rest[1:] {
			if pkg := apkPackage(name); st.installed[pkg] {
				delete(st.installed, pkg)
				c.Printf("Purging %s (built in)\n", name)
			}
		}
		c.Printf("OK: %d packages\n", len(st.installed))
	default:
		c.say("ERROR: '%s' is not an apk command. See 'apk --help'.", rest[0])
		return 1
	}
	return 0
}

// apkPackages are the packages that bring tools, by the names in the table.
func apkPackages() map[string]bool {
	known := map[string]bool{}
	for _, e := range table {
		if e.pkg != "" {
			known[e.pkg] = true
		}
	}
	return known
}

func apkPackage(name string) string {
	if pkg, ok := apkNames[name]; ok {
		return pkg
	}
	return name
}

// apkAdd installs packages, all or none; indexed: there is a list of them. The state's lock is held.
func (c *Call) apkAdd(st *state, names []string, indexed bool) int {
	known := apkPackages()
	var missing, fresh []string
	for _, name := range names {
		switch pkg := apkPackage(name); {
		case !known[pkg] || !indexed:
			missing = append(missing, name)
		case !st.installed[pkg]:
			fresh = append(fresh, name)
		}
	}
	if !indexed {
		c.say("WARNING: Ignoring APKINDEX.tar.gz: No such file or directory")
	}
	if len(missing) > 0 {
		sort.Strings(missing)
		c.say("ERROR: unsatisfiable constraints:")
		for _, name := range missing {
			c.say("  %s (missing):\n    required by: world[%s]", name, name)
		}
		return len(missing)
	}
	for n, name := range fresh {
		st.installed[apkPackage(name)] = true
		c.Printf("(%d/%d) Installing %s (built in)\n", n+1, len(fresh), name)
	}
	c.Printf("OK: %d packages\n", len(st.installed))
	return 0
}
