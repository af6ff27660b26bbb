package consensus_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/netsim-lab/netsim/docker/swarm/consensus"
)

// journal is a log that can be read while it is written.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

// Write implements io.Writer.
func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) count(text string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Count(j.text.String(), text)
}

// letterOf is a message of raft without content, from somebody.
func letterOf(m consensus.Member) []byte {
	head := must(json.Marshal(struct{ From consensus.Member }{m}))
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(head))), head...)
}

// A manager that speaks in the name of another, or says what is no message, is refused, counted and logged, and the others go on.
func TestForgedLetters(t *testing.T) {
	l := newLab(t)
	j := &journal{}
	for i := range 2 {
		h := l.plug(l.authority)
		h.up(func(c *consensus.Config) {
			if i == 0 {
				c.Log = slog.New(slog.NewTextHandler(j, nil))
			}
		})
		h.waitReady()
	}
	good, evil := l.hosts[0], l.hosts[1]
	stranger := evil.Self()
	stranger.Node = "m9"
	elsewhere := evil.Self()
	elsewhere.RaftID = good.Self().RaftID
	for i, row := range []struct {
		name, method string
		body         []byte
		text         string
	}{
		{"in the name of another node", "raft.step", letterOf(stranger), "it is not of who sent it"},
		{"with the id of another member", "raft.step", letterOf(elsewhere), "the id is another member's"},
		{"from nobody", "raft.step", letterOf(consensus.Member{}), "it is not of who sent it"},
		{"no letter", "raft.step", []byte{0, 0, 0, 9, 1}, "malformed message of a manager"},
		{"what is no message of raft", "raft.step", append(letterOf(evil.Self()), 0, 0, 0, 1, 0xff), "malformed message of a manager"},
		{"joining in the name of another", "raft.join", must(json.Marshal(stranger)), "it is not of who sent it"},
	} {
		ctx, cancel := context.WithTimeout(l.ctx, patience)
		_, err := evil.Call(ctx, good.addr, row.method, row.body)
		cancel()
		if err == nil || !strings.Contains(err.Error(), row.text) {
			t.Errorf("%s: Call = %v; want %s", row.name, err, row.text)
		}
		if n := good.Refusals().Malformed; n != uint64(i+1) {
			t.Errorf("%s: %d malformed; want %d", row.name, n, i+1)
		}
		if n := j.count("request refused"); n != i+1 {
			t.Errorf("%s: %d lines of a log; want %d", row.name, n, i+1)
		}
	}
	good.mustPropose("a")
	good.has("a")
	evil.has("a")
}
