package engine

import (
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/netsim-lab/netsim/netns"
)

// hostMemory is how much memory a simulated host says that it has, in bytes.
const hostMemory = 2 << 30

// Info is what docker info shows of an engine.
type Info struct {
	ID                          string // 64 hex digits, the same as long as the engine lives
	Name                        string
	Containers, Running, Paused int
	Stopped, Images             int
	NetworkDrivers              []string // in the order in which engines of its time list them (F10)
	CPUs                        int
	Memory                      int64 // bytes
	EventsSubscribers           int
	Modern                      bool
}

// Info returns what there is to say of the engine.
func (e *Engine) Info() Info {
	info := Info{
		ID: e.id, Name: e.cfg.Name, Images: len(e.Images()), NetworkDrivers: e.networkDrivers(), CPUs: runtime.NumCPU(), Memory: hostMemory,
		Modern: e.Controller().Modern(),
	}
	for _, c := range e.Containers() {
		info.Containers++
		switch c.State() {
		case Running, Restarting:
			info.Running++
		case Paused:
			info.Paused++
		default:
			info.Stopped++
		}
	}
	e.events.mu.Lock()
	defer e.events.mu.Unlock()
	info.EventsSubscribers = len(e.events.subscribers)
	return info
}

func (e *Engine) networkDrivers() []string {
	if e.Controller().Modern() {
		return []string{"bridge", "host", "ipvlan", "macvlan", "null", "overlay"}
	}
	return []string{"bridge", "host", "macvlan", "null", "overlay"}
}

// DiskUsage is what docker system df shows.
type DiskUsage struct {
	Images     []ImageInfo
	LayersSize int64 // of all images, bytes
	Containers []*Container
}

// DiskUsage returns what images and containers take up.
func (e *Engine) DiskUsage() DiskUsage {
	u := DiskUsage{Images: e.Images(), Containers: e.Containers()}
	for _, im := range u.Images {
		u.LayersSize += im.Size
	}
	return u
}

// PruneContainers removes the containers that do not run, but those that keep holds for; nil keeps none.
func (e *Engine) PruneContainers(keep func(*Container) bool) (ids []string) {
	for _, c := range e.Containers() {
		if keep != nil && keep(c) {
			continue
		}
		if _, err := c.removeOnce(RemoveOptions{}); err == nil { // one that runs stays
			ids = append(ids, c.id)
		}
	}
	e.publish(Event{Type: "container", Action: "prune", Attributes: map[string]string{"reclaimed": "0"}})
	return ids
}

// InterfaceStats counts what came in and went out by an interface of a container.
type InterfaceStats struct {
	Name                                              string
	RxBytes, RxPackets, RxDropped, TxBytes, TxPackets uint64
	TxDropped                                         uint64
}

// Stats is what docker stats shows of a container: its interfaces' counters are the real ones. What a program takes of
// processor and memory is not known, and zero.
type Stats struct {
	Read       time.Time
	PIDs       int
	Interfaces []InterfaceStats // by number
	Memory     int64            // limit, bytes
	CPUs       int
}

// Stats returns the container's counters; those of one that does not run are zero.
func (c *Container) Stats() Stats {
	s := Stats{Read: time.Now(), Memory: hostMemory, CPUs: runtime.NumCPU()}
	c.mu.Lock()
	r := c.run
	if c.resources.Memory > 0 {
		s.Memory = c.resources.Memory
	}
	c.mu.Unlock()
	if r == nil {
		return s
	}
	s.PIDs = len(r.all())
	if r.ns == c.engine.cfg.Host {
		return s // Docker counts none of the host's
	}
	for _, i := range r.ns.Interfaces() {
		if i.Kind() != netns.KindLoopback {
			s.Interfaces = append(s.Interfaces, interfaceStats(i))
		}
	}
	slices.SortFunc(s.Interfaces, func(a, b InterfaceStats) int { return strings.Compare(a.Name, b.Name) })
	return s
}

// Top lists what runs in the container as ps does on its host. The arguments are ps's: with aux it shows its wide form,
// else that of -ef.
func (c *Container) Top(args []string) (titles []string, rows [][]string, err error) {
	r := c.current()
	if r == nil {
		return nil, nil, c.errNotRunning()
	}
	wide := false
	for _, a := range args {
		switch strings.TrimPrefix(a, "-") {
		case "aux", "u":
			wide = true
		case "ef", "e", "f", "A":
		default:
			return nil, nil, fail(ErrInvalid, "ps: the options %q are not known: there are -ef and aux", strings.Join(args, " "))
		}
	}
	titles = []string{"UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"}
	if wide {
		titles = []string{"USER", "PID", "%CPU", "%MEM", "VSZ", "RSS", "TTY", "STAT", "START", "TIME", "COMMAND"}
	}
	for _, p := range r.all() {
		tty := "?"
		if p.term != nil {
			tty = "pts/0"
		}
		user, at, cmd := p.user, p.started.Format("15:04"), strings.Join(p.argv, " ")
		if user == "" {
			user = "root"
		}
		row := []string{user, itoa(p.pid), itoa(shimPID), "0", at, tty, "00:00:00", cmd}
		if wide {
			row = []string{user, itoa(p.pid), "0.0", "0.0", "0", "0", tty, "Ss", at, "0:00", cmd}
		}
		rows = append(rows, row)
	}
	c.event("top", nil)
	return titles, rows, nil
}

// shimPID is the process id of what starts containers on a host.
const shimPID = 1290

func interfaceStats(i *netns.Interface) InterfaceStats {
	s := i.Read()
	return InterfaceStats{
		Name: i.Name(), RxBytes: s.RxBytes, RxPackets: s.RxFrames, RxDropped: s.Dropped(), TxBytes: s.TxBytes, TxPackets: s.TxFrames,
	}
}
