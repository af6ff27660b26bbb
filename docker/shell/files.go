package shell

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"sort"
	"strings"
	"sync"
	"syscall"
	"time"
)

// maxFiles and maxStored bound what commands may write into a system's tree.
const (
	maxFiles  = 4096
	maxStored = 64 << 20
)

// tree holds the files and directories that commands wrote, by clean absolute path.
type tree struct {
	mu     sync.Mutex
	nodes  map[string]*node
	stored int
	booted time.Time
}

// node is a file, or a directory.
type node struct {
	dir  bool
	data []byte
	at   time.Time
}

func (t *tree) init() {
	t.nodes, t.booted = map[string]*node{}, time.Now()
	for _, dir := range strings.Fields("/ /bin /sbin /dev /etc /home /proc /proc/net /proc/sys /proc/sys/net /proc/sys/net/ipv4 " +
		"/root /run /sys /sys/class /tmp /usr /usr/bin /usr/sbin /var /var/log /var/run") {
		t.nodes[dir] = &node{dir: true, at: t.booted}
	}
}

// info describes a file.
type info struct {
	name string
	size int64
	mode fs.FileMode
	at   time.Time
}

// Name implements fs.FileInfo.
func (i info) Name() string { return i.name }

// Size implements fs.FileInfo.
func (i info) Size() int64 { return i.size }

// Mode implements fs.FileInfo.
func (i info) Mode() fs.FileMode { return i.mode }

// ModTime implements fs.FileInfo.
func (i info) ModTime() time.Time { return i.at }

// IsDir implements fs.FileInfo.
func (i info) IsDir() bool { return i.mode.IsDir() }

// Sys implements fs.FileInfo.
func (i info) Sys() any { return nil }

// stat describes what is at a clean absolute path.
func (s *System) stat(p string) (info, error) {
	p = s.bound(p)
	t := &s.st().files
	t.mu.Lock()
	n := t.nodes[p]
	t.mu.Unlock()
	i := info{name: path.Base(p), mode: 0o644, at: t.booted}
	switch {
	case n != nil && n.dir:
		i.mode, i.at = fs.ModeDir|0o755, n.at
		return i, nil
	case n != nil:
		i.size, i.at = int64(len(n.data)), n.at
		return i, nil
	case devices[p]:
		i.mode = fs.ModeDevice | fs.ModeCharDevice | 0o666
		return i, nil
	case s.madeDir(p):
		i.mode = fs.ModeDir | 0o755
		return i, nil
	case s.Sandboxes != nil && path.Dir(p) == netnsDir:
		if s.Sandboxes()[i.name] == nil {
			return info{}, os.ErrNotExist
		}
		i.mode = 0o444
		return i, nil
	case path.Dir(p) == namedDir && s.namedNamespaces()[i.name] != nil:
		i.mode = 0o444
		return i, nil
	}
	if text, ok := s.made(p); ok {
		i.size = int64(len(text))
		return i, nil
	}
	if _, at, ok := s.tool(p); ok && at == p {
		i.mode = 0o755
		return i, nil
	}
	return info{}, os.ErrNotExist
}

// read returns the text of a file.
func (s *System) read(p string) ([]byte, error) {
	if text, ok := s.readFile(p); ok {
		return text, nil
	}
	i, err := s.stat(p)
	switch {
	case err != nil:
		return nil, err
	case i.IsDir():
		return nil, syscall.EISDIR
	}
	return nil, nil // a device, or a program, whose bytes are nobody's business
}

// readFile returns the text of a regular file: one that was written, or else one that is made elsewhere.
func (s *System) readFile(p string) ([]byte, bool) {
	p = s.bound(p)
	t := &s.st().files
	t.mu.Lock()
	n := t.nodes[p]
	t.mu.Unlock()
	if n != nil {
		return n.data, !n.dir
	}
	return s.made(p)
}

// madeDir tells whether a path is a directory that nobody made.
func (s *System) madeDir(p string) bool {
	switch {
	case s.Sandboxes != nil && (p == "/var/run" || p == "/var/run/docker" || p == netnsDir):
		return true
	case p == namedDir && len(s.namedNamespaces()) > 0:
		return true
	}
	return s.sysfsDir(p) != nil || len(s.madeBelow(p)) > 0
}

// madeBelow returns what a directory holds of Paths: names of files, and of directories on the way to them.
func (s *System) madeBelow(p string) (names []string) {
	if s.Paths == nil {
		return nil
	}
	for _, file := range s.Paths() {
		if rest, ok := strings.CutPrefix(file, strings.TrimSuffix(p, "/")+"/"); ok {
			name, _, _ := strings.Cut(rest, "/")
			names = append(names, name)
		}
	}
	return names
}

// made returns the text of a file that nobody wrote.
func (s *System) made(p string) ([]byte, bool) {
	if s.Files != nil {
		if text, ok := s.Files(p); ok {
			return text, true
		}
	}
	if make, ok := generated[p]; ok {
		return []byte(make(s)), true
	}
	return s.sysfs(p)
}

var devices = map[string]bool{"/dev/null": true, "/dev/zero": true, "/dev/tty": true, "/dev/stdin": true, "/dev/stdout": true, "/dev/stderr": true}

// netnsDir is where Docker has the files of its namespaces (I28).
const netnsDir = "/var/run/docker/netns"

// list returns what is in a directory by name.
func (s *System) list(p string) ([]fs.FileInfo, error) {
	i, err := s.stat(p)
	if err != nil {
		return nil, err
	}
	if !i.IsDir() {
		return nil, syscall.ENOTDIR
	}
	var infos []fs.FileInfo
	for child := range s.children(p) {
		if i, err := s.stat(child); err == nil {
			infos = append(infos, i)
		}
	}
	sort.Slice(infos, func(a, b int) bool { return infos[a].Name() < infos[b].Name() })
	return infos, nil
}

// children returns the paths of all that may be in a directory; stat tells whether it is.
func (s *System) children(p string) map[string]bool {
	names := map[string]bool{}
	add := func(child string) {
		if child != "/" && path.Dir(child) == p {
			names[child] = true
		}
	}
	t := &s.st().files
	t.mu.Lock()
	for child := range t.nodes {
		add(child)
	}
	t.mu.Unlock()
	for child := range devices {
		add(child)
	}
	for _, child := range []string{"/etc/hosts", "/etc/resolv.conf", "/etc/hostname", "/var/run", "/var/run/docker", netnsDir, namedDir} {
		add(child)
	}
	if s.Sandboxes != nil && p == netnsDir {
		for name := range s.Sandboxes() {
			add(path.Join(netnsDir, name))
		}
	}
	for name := range s.namedNamespaces() {
		add(path.Join(namedDir, name))
	}
	for child := range generated {
		add(child)
	}
	for _, child := range slices.Concat(s.sysfsDir(p), s.madeBelow(p)) {
		add(path.Join(p, child))
	}
	for _, name := range s.Tools() {
		if _, at, ok := s.tool(name); ok {
			add(at)
		}
	}
	return names
}

// open opens a file with the flags of os.OpenFile.
func (s *System) open(p string, flag int) (io.ReadWriteCloser, error) {
	p = s.bound(p)
	if devices[p] {
		return device{}, nil
	}
	i, err := s.stat(p)
	write := flag&(os.O_WRONLY|os.O_RDWR) != 0
	switch {
	case err == nil && i.IsDir() && write:
		return nil, syscall.EISDIR
	case err != nil && (!write || flag&os.O_CREATE == 0):
		return nil, err
	case write && strings.HasPrefix(p, "/proc/") && settings[p] == nil:
		return nil, os.ErrPermission
	case write:
		if parent, err := s.stat(path.Dir(p)); err != nil || !parent.IsDir() {
			return nil, os.ErrNotExist
		}
	}
	text, _ := s.readFile(p)
	f := &file{sys: s, path: p, write: write}
	if flag&os.O_TRUNC == 0 || !write {
		f.data = append(f.data, text...)
	}
	if flag&os.O_APPEND != 0 {
		f.at = len(f.data)
	}
	if write {
		return f, f.store()
	}
	return f, nil
}

// file is an open file. What is written is stored at once. Several commands may use it at the same time.
type file struct {
	sys   *System
	path  string
	write bool

	mu   sync.Mutex
	data []byte
	at   int
}

// Read implements io.Reader.
func (f *file) Read(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.at >= len(f.data) {
		return 0, io.EOF
	}
	n := copy(b, f.data[f.at:])
	f.at += n
	return n, nil
}

// Write implements io.Writer.
func (f *file) Write(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.write {
		return 0, syscall.EBADF
	}
	if len(f.data)+len(b) > maxStored {
		return 0, syscall.ENOSPC
	}
	if f.at < len(f.data) { // others may hold what is there
		f.data = slices.Clone(f.data[:f.at])
	}
	f.data = append(f.data, b...)
	f.at = len(f.data)
	return len(b), f.store()
}

// Close implements io.Closer.
func (f *file) Close() error { return nil }

// store makes the system's file what was written so far. Readers of the file before keep what they have.
func (f *file) store() error {
	if set := settings[f.path]; set != nil {
		if len(f.data) == 0 {
			return nil
		}
		return set(f.sys, strings.TrimSpace(string(f.data)))
	}
	return f.sys.st().files.put(f.path, f.data[:len(f.data):len(f.data)])
}

// put sets the text of a file.
func (t *tree) put(p string, data []byte) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	old := 0
	if n := t.nodes[p]; n != nil {
		if n.dir {
			return syscall.EISDIR
		}
		old = len(n.data)
	} else if len(t.nodes) >= maxFiles {
		return syscall.ENOSPC
	}
	if t.stored+len(data)-old > maxStored {
		return syscall.ENOSPC
	}
	t.stored += len(data) - old
	t.nodes[p] = &node{data: data, at: time.Now()}
	return nil
}

// mkdir makes a directory.
func (s *System) mkdir(p string) error {
	if _, err := s.stat(p); err == nil {
		return os.ErrExist
	}
	if parent, err := s.stat(path.Dir(p)); err != nil || !parent.IsDir() {
		return os.ErrNotExist
	}
	t := &s.st().files
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.nodes) >= maxFiles {
		return syscall.ENOSPC
	}
	t.nodes[p] = &node{dir: true, at: time.Now()}
	return nil
}

// remove takes a file, or with all a directory and what is in it, out of the tree.
func (s *System) remove(p string, all bool) error {
	i, err := s.stat(p)
	switch {
	case err != nil:
		return err
	case i.IsDir() && !all:
		return syscall.EISDIR
	case p == "/":
		return os.ErrPermission
	}
	t := &s.st().files
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.nodes[p] == nil {
		return os.ErrPermission
	}
	for q, n := range t.nodes {
		if below(q, p) {
			t.stored -= len(n.data)
			delete(t.nodes, q)
		}
	}
	return nil
}

// device is what is behind /dev/null and its like.
type device struct{}

// Read implements io.Reader.
func (device) Read([]byte) (int, error) { return 0, io.EOF }

// Write implements io.Writer.
func (device) Write(b []byte) (int, error) { return len(b), nil }

// Close implements io.Closer.
func (device) Close() error { return nil }

// copyText reads up to a bound.
func copyText(w io.Writer, r io.Reader, limit int64) error {
	n, err := io.Copy(w, io.LimitReader(r, limit+1))
	if err == nil && n > limit {
		return errors.New("input is too long")
	}
	return err
}

// errnoText returns the words of the C library for an error.
func errnoText(err error) string {
	var e syscall.Errno
	switch {
	case errors.Is(err, os.ErrNotExist):
		return "No such file or directory"
	case errors.Is(err, os.ErrExist):
		return "File exists"
	case errors.Is(err, os.ErrPermission):
		return "Permission denied"
	case errors.As(err, &e):
		if text, ok := errnos[e]; ok {
			return text
		}
		return strings.ToUpper(e.Error()[:1]) + e.Error()[1:]
	}
	return err.Error()
}

var errnos = map[syscall.Errno]string{
	syscall.ECONNREFUSED: "Connection refused", syscall.EHOSTUNREACH: "No route to host", syscall.ENETUNREACH: "Network is unreachable",
	syscall.ETIMEDOUT: "Connection timed out", syscall.ECONNRESET: "Connection reset by peer", syscall.EADDRINUSE: "Address already in use",
	syscall.EADDRNOTAVAIL: "Cannot assign requested address", syscall.EISDIR: "Is a directory", syscall.ENOTDIR: "Not a directory",
	syscall.ENOSPC: "No space left on device", syscall.EBADF: "Bad file descriptor", syscall.EACCES: "Permission denied",
	syscall.EINVAL: "Invalid argument", syscall.EMSGSIZE: "Message too long", syscall.EPIPE: "Broken pipe", syscall.ENODEV: "No such device",
}
