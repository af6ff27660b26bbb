package shell

import (
	"context"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
)

// jobs are the commands that run in one session, by the job they belong to. Path "" is the foreground; see jobVar.
type jobs struct {
	sys *System
	wg  sync.WaitGroup

	mu     sync.Mutex
	procs  map[int]*proc  // guarded by mu; by process id
	killed map[string]int // guarded by mu: the signals of jobs that were killed
	shells int            // guarded by mu
}

// proc is a command that runs.
type proc struct {
	pid    int
	job    string
	args   []string
	start  time.Time
	cancel context.CancelFunc
	jobs   *jobs
	sig    int // guarded by jobs.mu; 0: not killed
}

func (j *jobs) init(sys *System) {
	j.sys, j.procs, j.killed = sys, map[int]*proc{}, map[string]int{}
}

// shell returns the job path that the commands of a new shell begin with.
func (j *jobs) shell() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.shells++
	return "/sh" + strconv.Itoa(j.shells)
}

// enter notes a command that starts. The context ends when the command is killed; if its job was killed before, there is no
// proc, and killed is the signal.
func (j *jobs) enter(ctx context.Context, job string, args []string) (p *proc, run context.Context, killed int) {
	pid := j.sys.newPID()
	j.mu.Lock()
	defer j.mu.Unlock()
	for path, sig := range j.killed {
		if below(job, path) {
			return nil, ctx, sig
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	p = &proc{pid: pid, job: job, args: args, start: time.Now(), cancel: cancel, jobs: j}
	j.procs[pid] = p
	j.wg.Add(1)
	return p, ctx, 0
}

func (j *jobs) leave(p *proc) {
	p.cancel()
	j.mu.Lock()
	delete(j.procs, p.pid)
	j.mu.Unlock()
	j.wg.Done()
}

// signal returns the signal that the command was killed with, 0 if it was not.
func (p *proc) signal() int {
	p.jobs.mu.Lock()
	defer p.jobs.mu.Unlock()
	return p.sig
}

// wait waits until no command runs any more.
func (j *jobs) wait() { j.wg.Wait() }

// below tells whether a job is another one, or was started by it.
func below(job, path string) bool { return job == path || strings.HasPrefix(job, path+"/") }

// killJob ends a background job, and all it will still start; false: it was never heard of, or has ended long ago.
func (j *jobs) killJob(path string, sig int) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if sig != 0 {
		j.killed[path] = sig
	}
	found := false
	for _, p := range j.procs {
		if below(p.job, path) {
			p.end(sig)
			found = true
		}
	}
	return found
}

// killPID ends one command.
func (j *jobs) killPID(pid, sig int) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	p := j.procs[pid]
	if p == nil {
		return false
	}
	p.end(sig)
	return true
}

// end sends a signal; the caller holds the lock of jobs. All end a command, SIGINT gently, but 0, which only asks, and those
// whose default is to be ignored.
func (p *proc) end(sig int) {
	switch sig {
	case 0, sigChld, sigCont, sigUrg, sigWinch:
	case sigInt:
		p.cancel()
	default:
		p.sig = sig
		p.cancel()
	}
}

// list returns what runs by process id.
func (j *jobs) list() []*proc {
	j.mu.Lock()
	defer j.mu.Unlock()
	all := make([]*proc, 0, len(j.procs))
	for _, p := range j.procs {
		all = append(all, p)
	}
	sort.Slice(all, func(a, b int) bool { return all[a].pid < all[b].pid })
	return all
}

func (s *System) newPID() int {
	st := s.st()
	st.mu.Lock()
	defer st.mu.Unlock()
	st.nextPID++
	return st.nextPID
}

// runJobs is jobs: the background commands of this shell that run.
func runJobs(_ context.Context, c *Call) int {
	seen := map[string]bool{}
	for _, p := range c.jobs.list() {
		rest, ok := strings.CutPrefix(p.job, c.job+"/")
		number, _, _ := strings.Cut(rest, "/")
		if _, err := strconv.Atoi(number); !ok || err != nil || seen[number] {
			continue
		}
		seen[number] = true
		c.Printf("[%s] Running                 %s &\n", number, strings.Join(p.args, " "))
	}
	return 0
}
