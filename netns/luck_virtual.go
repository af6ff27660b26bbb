//go:build faketime && unix

package netns

import (
	"encoding/binary"
	"io"
	"math/rand/v2"
	"sync"
)

// portBytes is how much a netstack reads at once to choose a port; for secrets it reads more.
const portBytes = 4

// secureLuck returns where a netstack's secrets and ports come from: from the seed, so that a lab in virtual time does the same
// twice. Ports come one after the other, as Linux takes them. Were they drawn, two connections of one instant would have the
// same port now and then, and, with a clock that stands still, the same first sequence number, which the old one's TIME_WAIT
// refuses.
func secureLuck(seed uint64) io.Reader {
	r := rand.New(rand.NewPCG(seed, 3))
	return &repeatable{r: r, port: r.Uint32()}
}

// repeatable is luck that comes in the same order each time.
type repeatable struct {
	mu   sync.Mutex
	r    *rand.Rand // guarded by mu
	port uint32     // guarded by mu
}

// Read implements io.Reader. It fills b and never fails.
func (r *repeatable) Read(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(b) == portBytes {
		r.port++
		binary.LittleEndian.PutUint32(b, r.port)
		return len(b), nil
	}
	for i := range b {
		b[i] = byte(r.r.Uint32())
	}
	return len(b), nil
}
