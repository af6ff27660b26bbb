package cnm

import (
	"strings"
	"testing"
)

// TestLeaveNone checks that a container may be on other networks once it has been taken off none (H7).
func TestLeaveNone(t *testing.T) {
	r := newRig(t)
	c := r.host("host-a", "192.168.1.2/24", nil)
	s := r.sandbox(c, "alone")
	s.cfg.None = true
	if err := s.Join(r.ctx, []EndpointConfig{on("none")}); err != nil {
		t.Fatal(err)
	}
	if err := s.Connect(r.ctx, on("bridge")); err == nil || !strings.Contains(err.Error(), "private (none) mode") {
		t.Errorf("Connect beside none = %v", err)
	}
	if err := s.Disconnect("none"); err != nil {
		t.Fatal(err)
	}
	if err := s.Connect(r.ctx, on("bridge")); err != nil {
		t.Fatal(err)
	}
	r.pings(s.NS(), "172.17.0.1")
}
