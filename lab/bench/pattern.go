package bench

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"sync"
)

const (
	// chunk is how much is read and written at a time.
	chunk = 256 << 10
	// period is after how many bytes the pattern repeats: a prime, so that no segment size divides it.
	period = 262147
	// whole is how many bytes at the beginning of a stream are compared one by one; behind it, sampleLen bytes in every
	// sampleGap are, which meets every wire frame and costs little.
	whole     = 4 << 20
	sampleGap = 512
	sampleLen = 16
)

// pattern returns what streams carry: byte i of a stream is pattern()[i%period]. It holds a chunk more than a period, so
// that a chunk that begins anywhere lies in it as a whole. It is made when it is first asked for.
var pattern = sync.OnceValue(func() []byte {
	p := make([]byte, period+chunk)
	luck := rand.New(rand.NewPCG(1, 2))
	for i := range period {
		p[i] = byte(luck.Uint32())
	}
	for i := range chunk {
		p[period+i] = p[i]
	}
	return p
})

// at returns the n bytes of a stream that begin at position pos; n is at most chunk.
func at(pos int64, n int) []byte {
	i := int(pos % period)
	return pattern()[i : i+n]
}

// checkPattern compares what was read at position pos with what was sent there.
func checkPattern(got []byte, pos int64) error {
	want := at(pos, len(got))
	if pos < whole {
		return differ(got, want, pos)
	}
	i := 0
	for ; i+sampleLen <= len(got); i += sampleGap {
		if !bytes.Equal(got[i:i+sampleLen], want[i:i+sampleLen]) {
			return differ(got[i:i+sampleLen], want[i:i+sampleLen], pos+int64(i))
		}
	}
	end := max(len(got)-sampleLen, 0)
	return differ(got[end:], want[end:], pos+int64(end))
}

func differ(got, want []byte, pos int64) error {
	if bytes.Equal(got, want) {
		return nil
	}
	for i := range got {
		if got[i] != want[i] {
			return fmt.Errorf("byte %d of the stream is %#02x; %#02x was sent", pos+int64(i), got[i], want[i])
		}
	}
	return nil
}
