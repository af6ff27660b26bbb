package fabric

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
	"gvisor.dev/gvisor/pkg/buffer"
)

const (
	// ringBytes is the memory of a Ring, unless RingConfig says otherwise.
	// It fits in a processor's cache: what is larger takes it from those who work.
	ringBytes = 4 << 20
	// A chunk holds so many records and so many bytes, whichever is full first; together they are a little less than chunkSize.
	chunkRecords = 64
	chunkBytes   = 4992
	chunkSize    = 8 << 10
)

// RingConfig says what a Ring keeps.
type RingConfig struct {
	Bytes int // memory, about, that it grows to as it is used; 0: 4 MiB
}

// Ring remembers what its taps saw last: of each train the headers, of each small frame all. It is cheap enough to be always
// on: it copies some 70 bytes a train, takes no share of the payload and allocates nothing once it has grown. What is
// old makes room for what is new, whatever interface it is of. All methods may be called at once from several goroutines.
type Ring struct {
	began time.Time // what times count from, so that they never run back
	start int64     // the same in nanoseconds of Unix time
	limit int       // chunks

	mu     sync.Mutex
	chunks []*ringChunk // guarded by mu; a circle once there are limit of them
	oldest int          // guarded by mu; the next to be used again
}

// RingTap is the Tap and the DropTap of one interface of a Ring.
type RingTap struct {
	ring  *Ring
	name  string
	chunk atomic.Pointer[ringChunk] // where the next record goes, unless it is another's by then; replaced with ring.mu held
}

// ringChunk holds records of one tap, in the order in which they were noted. Its lock is taken after the ring's.
type ringChunk struct {
	mu      sync.Mutex
	owner   *RingTap // guarded by mu
	n, used int      // guarded by mu; records, and bytes of data
	records [chunkRecords]ringRecord
	data    [chunkBytes]byte
}

// ringRecord is what is kept of a frame beside its first bytes.
type ringRecord struct {
	at            int64
	place         string // where it was dropped
	off, kept     uint16 // its bytes in data
	rest          uint32 // how many more it had
	l3, l4, inner uint16 // offsets into its bytes, plus 1; 0: none
	segs, mss     uint16
	etherType     uint16
	proto         byte
	checksum      Checksum
	way           way
	why           DropReason // 0: it was not dropped
}

// NewRing returns an empty ring.
func NewRing(cfg RingConfig) *Ring {
	began := time.Now()
	return &Ring{began: began, start: began.UnixNano(), limit: max(2, cmp.Or(max(cfg.Bytes, 0), ringBytes)/chunkSize)}
}

// Interface returns a tap whose frames are kept as those of an interface of that name. The frames that it is shown as a Tap
// must begin with an Ethernet header. Nothing is to be done when the interface goes.
func (r *Ring) Interface(name string) *RingTap { return &RingTap{ring: r, name: name} }

// Tap implements Tap.
func (t *RingTap) Tap(dir Direction, f *Frame) {
	one := [1]*Frame{f}
	t.tapAll(dir, one[:])
}

// tapAll implements batchTap: it reads the clock once.
func (t *RingTap) tapAll(dir Direction, batch []*Frame) {
	at, w := t.ring.now(), wayOf(dir)
	var c *ringChunk
	for _, f := range batch {
		if c == nil || !c.fits(int(f.end-f.start)) {
			if c != nil {
				c.mu.Unlock()
			}
			c = t.lockChunk(int(f.end - f.start))
		}
		c.add(f, at, w, 0, "")
	}
	if c != nil {
		c.mu.Unlock()
	}
}

// Dropped implements DropTap.
func (t *RingTap) Dropped(f *Frame, reason DropReason, place string) {
	c := t.lockChunk(int(f.end - f.start))
	c.add(f, t.ring.now(), wayUnknown, reason, place)
	c.mu.Unlock()
}

func (r *Ring) now() int64 { return r.start + int64(time.Since(r.began)) }

// fits tells whether there is room for a record of n bytes.
func (c *ringChunk) fits(n int) bool { return c.n < chunkRecords && c.used+n <= chunkBytes }

// add appends a record, for which there must be room.
func (c *ringChunk) add(f *Frame, at int64, w way, why DropReason, place string) {
	lin := f.Linear()
	r := &c.records[c.n]
	*r = ringRecord{at: at, place: place, off: uint16(c.used), kept: uint16(len(lin)), rest: uint32(f.payload.Size()),
		l3: offsetFrom(f.start, f.l3), l4: offsetFrom(f.start, f.l4), inner: offsetFrom(f.start, f.inner),
		segs: f.Segs, mss: f.MSS, etherType: f.EtherType, proto: f.Proto, checksum: f.Checksum, way: w, why: why}
	c.used += copy(c.data[c.used:], lin)
	c.n++
}

// offsetFrom returns a header's offset counted from start, plus 1; 0 for none.
func offsetFrom(start, off uint16) uint16 {
	if off < start || off == 0 {
		return 0
	}
	return off - start + 1
}

// lockChunk returns a chunk of t with room for a record of n bytes, locked.
func (t *RingTap) lockChunk(n int) *ringChunk {
	for {
		c := t.chunk.Load()
		if c != nil {
			c.mu.Lock()
			if c.owner == t && c.fits(n) {
				return c
			}
			c.mu.Unlock()
		}
		t.ring.advance(t, c)
	}
}

// advance gives t another chunk than full: a new one, or the one that was given away the longest time ago.
func (r *Ring) advance(t *RingTap, full *ringChunk) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t.chunk.Load() != full {
		return // another goroutine was faster
	}
	var c *ringChunk
	if len(r.chunks) < r.limit {
		c = new(ringChunk)
		r.chunks = append(r.chunks, c)
	} else {
		c = r.chunks[r.oldest]
		r.oldest = (r.oldest + 1) % r.limit
	}
	c.mu.Lock()
	c.owner, c.n, c.used = t, 0, 0
	c.mu.Unlock()
	t.chunk.Store(c)
}

// ringFrame is a record on its way to a file.
type ringFrame struct {
	ringRecord
	name string
	data []byte
}

// Save writes what was kept since a time as pcapng, in the order of time, with an interface block for each interface that name
// gives a name, in the order in which they turn up. name is given those of Interface, and tells by ok which are wanted; nil: all,
// as they are. Of frames that were not kept whole the first bytes are written, with the true lengths; a checksum over
// what is missing is 0. It returns how many wire frames it wrote. It holds up nothing.
func (r *Ring) Save(w io.Writer, since time.Time, name func(string) (text string, ok bool)) (frames uint64, err error) {
	s := &ringSaver{out: bufio.NewWriterSize(w, captureWrite), ids: map[string]int{}}
	for _, f := range r.snapshot(since.UnixNano(), name) {
		if err := s.save(&f); err != nil {
			return s.frames, fmt.Errorf("save the ring: %w", err)
		}
	}
	if err := s.finish(); err != nil {
		return s.frames, fmt.Errorf("save the ring: %w", err)
	}
	return s.frames, nil
}

// snapshot copies what is wanted out of the chunks, and puts it in order.
func (r *Ring) snapshot(since int64, name func(string) (string, bool)) []ringFrame {
	r.mu.Lock()
	chunks := append(slices.Clone(r.chunks[r.oldest:]), r.chunks[:r.oldest]...) // an interface's chunks in their order
	r.mu.Unlock()
	var all []ringFrame
	for _, c := range chunks {
		all = c.appendSince(all, since)
	}
	names := map[string]string{}
	all = slices.DeleteFunc(all, func(f ringFrame) bool {
		text, known := names[f.name]
		if !known {
			if text = f.name; name != nil {
				var ok bool
				if text, ok = name(f.name); !ok {
					text = ""
				}
			}
			names[f.name] = text
		}
		return text == ""
	})
	for i := range all {
		all[i].name = names[all[i].name]
	}
	slices.SortStableFunc(all, func(a, b ringFrame) int { return cmp.Compare(a.at, b.at) })
	return all
}

func (c *ringChunk) appendSince(all []ringFrame, since int64) []ringFrame {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == 0 || c.records[c.n-1].at < since {
		return all
	}
	data := slices.Clone(c.data[:c.used])
	for _, r := range c.records[:c.n] {
		if r.at >= since {
			all = append(all, ringFrame{ringRecord: r, name: c.owner.name, data: data[r.off : r.off+r.kept]})
		}
	}
	return all
}

// ringSaver writes the records of a ring to a file.
type ringSaver struct {
	out    *bufio.Writer
	ng     *pcapgo.NgWriter // nil until there is an interface
	ids    map[string]int   // of interfaces, by name
	buf    []byte
	frames uint64
}

// id returns the number of an interface, whose block it writes if it is new.
func (s *ringSaver) id(name string) (id int, err error) {
	if id, ok := s.ids[name]; ok {
		return id, nil
	}
	intf := pcapgo.NgInterface{Name: name, LinkType: layers.LinkTypeEthernet, SnapLength: captureSnap}
	if s.ng == nil {
		options := pcapgo.NgWriterOptions{SectionInfo: pcapgo.NgSectionInfo{Application: "netsim"}}
		s.ng, err = pcapgo.NewNgWriterInterface(s.out, intf, options)
	} else {
		id, err = s.ng.AddInterface(intf)
	}
	s.ids[name] = id
	return id, err
}

// finish writes what is buffered. A file without packets has its section and an interface, as tools want it.
func (s *ringSaver) finish() error {
	if s.ng == nil {
		if _, err := s.id("none"); err != nil {
			return err
		}
	}
	return s.ng.Flush()
}

func (s *ringSaver) save(r *ringFrame) error {
	f := r.frame()
	defer f.Free()
	if r.why != 0 && !f.giveEthernet() {
		return nil // nobody could read it without
	}
	id, err := s.id(r.name)
	if err != nil {
		return err
	}
	record := record{f: f, way: r.way, why: r.why, place: r.place}
	block := packetBlock{intf: uint32(id), at: r.at, way: r.way, comments: record.comments()}
	cut := f.Cut()
	for i := range max(1, int(f.Segs)) {
		snap := captureSnap
		if r.rest > 0 {
			if snap = len(f.Linear()); i > 0 {
				snap = cut.hdr // what the first has of the data beyond
			}
		}
		b := cut.Append(block.begin(s.buf[:0]), i)
		if r.rest > 0 && cut.at.off != 0 && (r.checksum == ChecksumPartial || r.segs > 1) {
			clear(checksumField(b[blockPacketHead+cut.at.off-int(f.start):], cut.at.proto)) // it is of zeros
		}
		s.buf = block.end(b, snap)
		if _, err := s.out.Write(s.buf); err != nil {
			return err
		}
		s.frames++
	}
	return nil
}

// zeros stands for the data that a ring does not keep.
var zeros = make([]byte, 1<<16)

// frame makes a frame of what was kept, and zeros of the rest.
func (r *ringFrame) frame() *Frame {
	f := New()
	copy(f.Extend(len(r.data)), r.data)
	at := func(off uint16) uint16 {
		if off == 0 {
			return 0
		}
		return f.start + off - 1
	}
	f.l3, f.l4, f.inner = at(r.l3), at(r.l4), at(r.inner)
	f.Segs, f.MSS, f.EtherType, f.Proto, f.Checksum = r.segs, r.mss, r.etherType, r.proto, r.checksum
	for rest := int(r.rest); rest > 0; rest -= len(zeros) {
		_ = f.payload.Append(buffer.NewViewWithData(zeros[:min(rest, len(zeros))]))
	}
	return f
}
