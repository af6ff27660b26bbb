package node

import (
	"hash/crc32"
	"runtime"
	"slices"
	"sync"
	"time"
)

// quick are the times of swarms in tests: elections begin after 0.5 to 1 s on a machine that has the time. On one that is very busy
// they begin later: nodes that wait for a processor for so long would vote, and vote again. Heartbeats are Docker's, as nodes of a busy
// machine are to be ready.
var quick = func() Times {
	n := time.Duration(min(6, max(1, slowness()/3)))
	return Times{Tick: n * 50 * time.Millisecond, Renewal: time.Second, Describe: time.Second, Join: patience}
}()

// slowness tells how many times longer than alone a program takes now that wants all processors: each does a piece of work of about
// a millisecond again and again, and the quickest piece was the one that nobody interrupted.
func slowness() int {
	const pieces = 200
	work := make([]byte, 4<<20)
	var all sync.WaitGroup
	took := make([]time.Duration, pieces*runtime.GOMAXPROCS(0))
	for mine := range slices.Chunk(took, pieces) {
		all.Go(func() {
			for i := range mine {
				began := time.Now()
				crc32.ChecksumIEEE(work)
				mine[i] = time.Since(began)
			}
		})
	}
	all.Wait()
	var sum time.Duration
	for _, d := range took {
		sum += d
	}
	return int(sum / max(1, slices.Min(took)*time.Duration(len(took))))
}
