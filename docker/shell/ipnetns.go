package shell

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/netsim-lab/netsim/netns"
)

// Namespaces are the network namespaces that people make on a machine with ip netns. All methods may be called at once
// from several goroutines.
type Namespaces interface {
	// Add makes a namespace of that name and runs it. The error wraps fs.ErrExist if there is one.
	Add(name string) error
	// Delete takes the name away. The namespace ends with the last that uses it. The error wraps fs.ErrNotExist if there is
	// none of that name.
	Delete(name string) error
	// All returns the namespaces by name.
	All() map[string]*netns.Namespace
	// Enter has a namespace last at least until leave is called.
	Enter(ns *netns.Namespace) (leave func())
}

// namedDir is where ip netns keeps its names.
const namedDir = "/var/run/netns"

// netns returns a namespace by the name or path that ip netns and nsenter take.
func (s *System) netns(name string) (*netns.Namespace, bool) {
	dir, base := path.Split(name)
	if dir = path.Clean(dir); name != base && strings.HasPrefix(dir, "/run/") {
		dir = "/var" + dir
	}
	if s.Namespaces != nil && (name == base || dir == namedDir) {
		if ns := s.Namespaces.All()[base]; ns != nil {
			return ns, true
		}
	}
	if s.Sandboxes == nil || name != base && dir == namedDir {
		return nil, false
	}
	ns := s.Sandboxes()[base]
	return ns, ns != nil
}

// namedNamespaces returns those that ip netns made.
func (s *System) namedNamespaces() map[string]*netns.Namespace {
	if s.Namespaces == nil {
		return nil
	}
	return s.Namespaces.All()
}

// netnsNames lists the names that ip netns knows: its own, and those of Docker's sandboxes, as on a host where
// /var/run/docker/netns is linked to where it looks.
func (s *System) netnsNames() []string {
	all := map[string]*netns.Namespace{}
	if s.Sandboxes != nil {
		maps.Copy(all, s.Sandboxes())
	}
	maps.Copy(all, s.namedNamespaces())
	return slices.Sorted(maps.Keys(all))
}

// machineNS returns the namespace of the machine itself.
func (s *System) machineNS() *netns.Namespace {
	if s.home != nil {
		return s.home
	}
	return s.NS
}

// processNS returns the namespace of a process.
func (s *System) processNS(pid int) (*netns.Namespace, bool) {
	if s.ProcessNS != nil {
		return s.ProcessNS(pid)
	}
	if s.Processes == nil {
		return s.machineNS(), pid == 1
	}
	for _, p := range s.Processes() {
		if p.PID == pid {
			return s.machineNS(), true
		}
	}
	return nil, false
}

// within returns the system as seen from another of its namespaces: the same files and tools, but for the files of
// /etc/netns/NAME, which stand in for those of /etc.
func (s *System) within(ns *netns.Namespace, name string) *System {
	n := &System{NS: ns, Hostname: s.hostname(), Files: s.Files, Env: s.Env, Flavour: s.Flavour, Extra: s.Extra, home: s.machineNS(),
		Sandboxes: s.Sandboxes, Namespaces: s.Namespaces, ProcessNS: s.ProcessNS, Processes: s.Processes, Signal: s.Signal}
	if name != "" && !strings.Contains(name, "/") {
		n.etc = "/etc/netns/" + name
	}
	st := s.st()
	n.once.Do(func() { n.state = st })
	return n
}

// bound returns which file a path leads to: ip netns exec mounts those of /etc/netns/NAME on top of those of /etc.
func (s *System) bound(p string) string {
	name, ok := strings.CutPrefix(p, "/etc/")
	if !ok || s.etc == "" {
		return p
	}
	t := &s.st().files
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := t.nodes[s.etc+"/"+name]; n != nil && !n.dir {
		return s.etc + "/" + name
	}
	return p
}

// netns is ip netns: list, add, delete, identify, pids and exec.
func (i *ipCall) netns(ctx context.Context) int {
	switch verb := i.next(); verb {
	case "", "list", "show", "ls":
		return i.netnsList()
	case "add":
		return i.netnsAdd()
	case "delete", "del":
		return i.netnsDelete()
	case "identify":
		return i.netnsIdentify()
	case "pids":
		return i.netnsPids()
	case "exec":
		return i.netnsExec(ctx)
	default:
		return i.say1("Command \""+verb+"\" is unknown, try \"ip netns help\".", 255)
	}
}

func (i *ipCall) netnsList() int {
	for _, name := range i.Sys.netnsNames() {
		if i.json {
			i.found = append(i.found, map[string]string{"name": name})
			continue
		}
		i.Printf("%s\n", name)
	}
	if i.json {
		i.printJSON()
	}
	return 0
}

func (i *ipCall) netnsAdd() int {
	name := i.next()
	switch {
	case name == "":
		return i.say1("No netns name specified", 1)
	case !netnsName(name):
		return i.say1("Invalid netns name \""+name+"\"", 255)
	case i.Sys.Namespaces == nil: // no capability to
		return i.say1("mount --make-shared "+namedDir+" failed: Operation not permitted", 1)
	}
	_, taken := i.Sys.netns(name)
	err := error(fs.ErrExist)
	if !taken {
		err = i.Sys.Namespaces.Add(name)
	}
	if err != nil {
		return i.say1("Cannot create namespace file \""+namedDir+"/"+name+"\": "+errnoText(err), 1)
	}
	return 0
}

// netnsName tells whether a name can be a file's (iproute2's invalid_name, and the kernel's bound).
func netnsName(name string) bool {
	return len(name) <= 255 && name != "." && name != ".." && !strings.ContainsAny(name, "/\x00")
}

func (i *ipCall) netnsDelete() int {
	names := []string{i.next()}
	switch {
	case i.all:
		names = slices.Sorted(maps.Keys(i.Sys.namedNamespaces()))
	case names[0] == "":
		return i.say1("No netns name specified", 1)
	case !netnsName(names[0]):
		return i.say1("Invalid netns name \""+names[0]+"\"", 255)
	}
	for _, name := range names {
		err := error(fs.ErrNotExist)
		if i.Sys.Namespaces != nil {
			err = i.Sys.Namespaces.Delete(name)
		}
		if _, sandbox := i.Sys.netns(name); sandbox && errors.Is(err, fs.ErrNotExist) {
			err = fs.ErrPermission // a container's, which its engine deletes
		}
		if err != nil {
			return i.say1("Cannot remove namespace file \""+namedDir+"/"+name+"\": "+errnoText(err), 1)
		}
	}
	return 0
}

// netnsIdentify names the namespace of a process, or that of the command itself.
func (i *ipCall) netnsIdentify() int {
	ns := i.ns
	if text := i.next(); text != "" && text != "self" {
		pid, err := strconv.Atoi(text)
		if err != nil {
			return i.say1("Specified string '"+text+"' is not a pid", 1)
		}
		var ok bool
		if ns, ok = i.Sys.processNS(pid); !ok {
			return i.say1("Could not stat netns /proc/"+text+"/ns/net: No such file or directory", 1)
		}
	}
	found := false
	for _, name := range i.Sys.netnsNames() {
		if known, _ := i.Sys.netns(name); known == ns {
			i.Printf("%s\n", name)
			found = true
		}
	}
	if !found {
		i.Printf("\n")
	}
	return 0
}

// netnsPids lists the processes of a namespace.
func (i *ipCall) netnsPids() int {
	name := i.next()
	if name == "" {
		return i.say1("No netns name specified", 1)
	}
	ns, ok := i.Sys.netns(name)
	if !ok {
		return i.say1("Cannot open network namespace: No such file or directory", 1)
	}
	if i.Sys.Processes == nil {
		return 0
	}
	for _, p := range i.Sys.Processes() {
		if in, ok := i.Sys.processNS(p.PID); ok && in == ns {
			i.Printf("%d\n", p.PID)
		}
	}
	return 0
}

func (i *ipCall) netnsExec(ctx context.Context) int {
	if !i.all {
		name := i.next()
		switch {
		case name == "":
			return i.say1("No netns name specified", 1)
		case len(i.args) == 0:
			return i.say1("No command specified", 1)
		}
		return i.enter(ctx, name, i.args)
	}
	if len(i.args) == 0 {
		return i.say1("No command specified", 1)
	}
	status := 0
	for _, name := range i.Sys.netnsNames() {
		i.Printf("\nnetns: %s\n", name)
		status = max(status, i.enter(ctx, name, i.args))
	}
	return status
}

// enter runs a command in another of the machine's namespaces.
func (c *Call) enter(ctx context.Context, name string, argv []string) int {
	ns, ok := c.Sys.netns(name)
	if !ok {
		return c.say1("Cannot open network namespace \""+name+"\": No such file or directory", 255)
	}
	if _, _, ok := c.Sys.tool(argv[0]); !ok && !programs[argv[0]] {
		return c.say1("exec of \""+argv[0]+"\" failed: No such file or directory", 1)
	}
	return c.enterNS(ctx, ns, name, argv)
}

// enterNS runs a command in a namespace, which lasts as long as the command at least.
func (c *Call) enterNS(ctx context.Context, ns *netns.Namespace, name string, argv []string) int {
	if c.Sys.Namespaces != nil {
		defer c.Sys.Namespaces.Enter(ns)()
	}
	sub := *c
	sub.Sys = c.Sys.within(ns, name)
	return sub.Exec(ctx, argv)
}
