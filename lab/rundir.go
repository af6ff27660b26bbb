package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

const (
	socketName = "control.sock"
	// maxSocketPath is how long the path of a Unix socket may be on the system that allows least (sun_path).
	maxSocketPath = 103
	// claimTries is how often a claim begins anew because another lab's end took the directory away.
	claimTries = 20
)

// errStale says that a lab's directory has no lab behind it.
var errStale = errors.New("no lab answers")

var dirName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}$`)

// baseDir returns the directory in which running labs have theirs.
func baseDir() string {
	if d := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(d) {
		if fi, err := os.Stat(d); err == nil && fi.IsDir() {
			return filepath.Join(d, "netsim")
		}
	}
	if uid := os.Getuid(); uid >= 0 {
		return filepath.Join(os.TempDir(), fmt.Sprintf("netsim-%d", uid))
	}
	return filepath.Join(os.TempDir(), "netsim")
}

// Dir returns the directory that a running lab of that name has for itself.
func Dir(name string) string { return filepath.Join(baseDir(), name) }

// checkDir makes sure that path is a directory of this user that nobody else gets into.
func checkDir(path string) error {
	fi, err := os.Lstat(path)
	if err != nil {
		return err
	}
	switch {
	case fi.Mode()&fs.ModeSymlink != 0:
		return fmt.Errorf("%s is a symbolic link, which is not followed: remove it", path)
	case !fi.IsDir():
		return fmt.Errorf("%s is not a directory: remove it", path)
	case !ownedByUser(fi):
		return fmt.Errorf("%s belongs to another user: set XDG_RUNTIME_DIR to a directory of your own", path)
	case openToOthers(fi):
		return fmt.Errorf("%s has mode %04o and is open to others: run chmod 700 on it", path, fi.Mode().Perm())
	}
	return nil
}

// runDir is the directory of a running lab, with the socket that it listens on.
type runDir struct {
	path string
	ln   net.Listener
}

// claimDir makes the directory of a lab and listens on its socket. What a dead lab left there is removed.
func claimDir(name string) (*runDir, error) {
	if !dirName.MatchString(name) {
		return nil, fmt.Errorf("lab name %q cannot name a directory: use letters, digits, \"_\", \".\" and \"-\"", name)
	}
	base := baseDir()
	r := &runDir{path: filepath.Join(base, name)}
	if sock := filepath.Join(r.path, socketName); len(sock) > maxSocketPath {
		return nil, fmt.Errorf("path %s is longer than the %d bytes of a socket's: set XDG_RUNTIME_DIR to a shorter directory",
			sock, maxSocketPath)
	}
	var err error
	for range claimTries {
		err = r.claim(base, name)
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("make the lab's directory: %w", err)
	}
	return r, nil
}

// claim does it once. An error that is fs.ErrNotExist says that the base directory went away meanwhile.
func (r *runDir) claim(base, name string) error {
	if err := os.Mkdir(base, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := checkDir(base); err != nil {
		return err
	}
	unlock, err := lockDir(base)
	if err != nil {
		return err
	}
	defer unlock()
	err = os.Mkdir(r.path, 0o700)
	if errors.Is(err, fs.ErrExist) {
		if err := removeStale(r.path); err != nil {
			return err
		}
		err = os.Mkdir(r.path, 0o700)
	}
	if err != nil {
		return err
	}
	if r.ln, err = net.Listen("unix", filepath.Join(r.path, socketName)); err != nil {
		_ = os.Remove(r.path) // it is empty; the cause is err
		return fmt.Errorf("listen on the lab's socket: %s", err)
	}
	return nil
}

// release removes the directory, and the base directory if no other lab runs.
func (r *runDir) release() error {
	_ = r.ln.Close() // again, or for the first time: it removes the socket
	base := filepath.Dir(r.path)
	unlock, err := lockDir(base)
	if err != nil {
		return err
	}
	defer unlock()
	err = removeOurs(r.path)
	_ = os.Remove(base) // fails while another lab has its directory there
	return err
}

// removeStale removes the directory of a lab that is dead. One that lives is an error.
func removeStale(path string) error {
	if err := checkDir(path); err != nil {
		return err
	}
	conn, err := dialSocket(path)
	if err == nil {
		_ = conn.Close() // it was only to see
		return fmt.Errorf("lab %q runs already: end it with netsim down %s, or give this one another name",
			filepath.Base(path), filepath.Base(path))
	}
	if !errors.Is(err, errStale) {
		return err
	}
	return removeOurs(path)
}

// removeOurs removes a lab's directory with its sockets, and nothing else.
func removeOurs(path string) error {
	entries, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".sock") || e.IsDir() {
			return fmt.Errorf("%s is not of a lab: remove it", filepath.Join(path, e.Name()))
		}
	}
	for _, e := range entries {
		if err := os.Remove(filepath.Join(path, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return os.Remove(path)
}

// dialSocket connects to the lab of a directory. The error is errStale if nobody listens there any more.
func dialSocket(path string) (net.Conn, error) {
	conn, err := net.DialTimeout("unix", filepath.Join(path, socketName), 2*time.Second)
	if err == nil {
		return conn, nil
	}
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist) {
		return nil, errStale
	}
	return nil, err
}
