package shell

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"
)

// The archive that a bare ubuntu's sources.list names. A lab whose internet has it is asked; in any other the lists of
// packages are built in.
const (
	archiveHost = "archive.ubuntu.com"
	archiveName = "http://archive.ubuntu.com/ubuntu xenial InRelease"
	archiveFile = "http://archive.ubuntu.com/ubuntu/dists/xenial/InRelease"
)

const (
	archivePatience = 5 * time.Second  // to find and connect to the archive
	archiveLimit    = 30 * time.Second // for all of it
	archiveMost     = 16 << 20         // bytes of a list that are read
)

// updateLists is apt-get update. Without the archive in the lab's internet nothing is fetched.
func (c *Call) updateLists(ctx context.Context) int {
	ctx, cancel := context.WithTimeout(ctx, archiveLimit)
	defer cancel()
	start := time.Now()
	size, text, lasting := c.fetchList(ctx)
	switch took := time.Since(start); {
	case text != "":
		c.Printf("Err:1 %s\n  %s\nReading package lists...\n", archiveName, text)
		return c.noLists(text, lasting)
	case size < 0:
		c.Printf("Hit:1 %s\nReading package lists...\n", archiveName)
	default:
		rate := int64(float64(size) / max(took, time.Millisecond).Seconds())
		c.Printf("Get:1 %s [%d B]\nFetched %d B in %ds (%d B/s)\nReading package lists...\n", archiveName, size, size, int(took.Seconds()), rate)
	}
	st := c.Sys.st()
	st.mu.Lock()
	defer st.mu.Unlock()
	st.updated = true
	return 0
}

// noLists says that the list could not be had. What may be otherwise the next time is a warning.
func (c *Call) noLists(text string, lasting bool) int {
	letter, status := "W", 0
	if lasting {
		letter, status = "E", 100
	}
	c.say("%s: Failed to fetch %s  %s", letter, archiveFile, text)
	c.say("%s: Some index files failed to download. They have been ignored, or old ones used instead.", letter)
	return status
}

// fetchList asks the archive for its list and returns how many bytes that has: -1 if nobody knows the archive. What went
// wrong is a text; lasting tells that the archive answered and does not have the list.
func (c *Call) fetchList(ctx context.Context) (size int64, text string, lasting bool) {
	u, err := url.Parse(archiveFile)
	if err != nil {
		return -1, "", false
	}
	q := &httpRequest{method: http.MethodGet, url: u, headers: []string{"Host: " + archiveHost, "User-Agent: Debian APT-HTTP/1.3 (1.2.35)", "Connection: close"}, connect: archivePatience}
	var at netip.Addr
	r, err := q.do(ctx, c.Sys, func(a netip.Addr) { at = a })
	if failed := (*httpError)(nil); errors.As(err, &failed) {
		switch {
		case failed.stage == stageResolve:
			return -1, "", false
		case failed.stage == stageReceive:
			return 0, "Connection failed", false
		case failed.timedOut(), errors.Is(err, syscall.ETIMEDOUT):
			return 0, "Could not connect to " + archiveHost + ":80 (" + at.String() + "), connection timed out", false
		}
		return 0, "Could not connect to " + archiveHost + ":80 (" + at.String() + "). - connect (" + connectNumber(err) + ")", false
	} else if err != nil {
		return 0, "Connection failed", false
	}
	defer r.close()
	if r.StatusCode != http.StatusOK {
		return 0, r.Status, true
	}
	if size, err = io.Copy(io.Discard, io.LimitReader(r.Body, archiveMost)); err != nil {
		return 0, "Connection failed", false
	}
	return size, "", false
}

// connectNumber is an error of connect as apt-get writes it: Linux's number and text.
func connectNumber(err error) string {
	for _, e := range []struct {
		is     syscall.Errno
		number string
	}{{syscall.ECONNREFUSED, "111: "}, {syscall.EHOSTUNREACH, "113: "}, {syscall.ENETUNREACH, "101: "}, {syscall.ECONNRESET, "104: "}} {
		if errors.Is(err, e.is) {
			return e.number + connectText(err)
		}
	}
	return connectText(err)
}
