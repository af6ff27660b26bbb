package l7

import "net/netip"

// maxSessions is how many TLS sessions are remembered; the oldest is forgotten first.
const maxSessions = 4096

// sessions remember which backend gave a TLS client which session id, so that a client that resumes its session comes
// back to the backend that has it (G7). They have no lock of their own.
type sessions struct {
	at    map[string]netip.AddrPort
	order []string // the oldest at next, once it is full
	next  int
}

func (s *sessions) backend(id string) (netip.AddrPort, bool) {
	addr, ok := s.at[id]
	return addr, ok && id != ""
}

func (s *sessions) learn(id string, addr netip.AddrPort) {
	if s.at == nil {
		s.at = map[string]netip.AddrPort{}
	}
	if _, known := s.at[id]; !known {
		if len(s.order) < maxSessions {
			s.order = append(s.order, id)
		} else {
			delete(s.at, s.order[s.next])
			s.order[s.next] = id
			s.next = (s.next + 1) % maxSessions
		}
	}
	s.at[id] = addr
}
