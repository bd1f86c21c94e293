package store

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/VictoriaMetrics/fastcache"

	"github.com/smache/smache/proto"
)

// The accounts of bucket must be those of fastcache: a pair is readable exactly
// as long as the mirror says that nothing has run over it.
func TestBucketMirrorsFastcache(t *testing.T) {
	for _, chunks := range []int{1, 2, 5} {
		rng := rand.New(rand.NewPCG(1, uint64(chunks)))
		cache := fastcache.New(chunks * ArenaUnit)
		buckets := newBuckets(chunks)
		target := 17
		type pair struct {
			key [16]byte
			pos uint64
		}
		var pairs []pair
		value := make([]byte, fcChunk)
		b := &buckets[target]
		for n := uint64(0); b.head < 6*b.capacity(); n++ {
			var key [16]byte
			binary.LittleEndian.PutUint64(key[:], n)
			if bucketOf(key[:]) != target {
				continue
			}
			size := rng.IntN(3000)
			if rng.IntN(10) == 0 {
				size = rng.IntN(fcChunk - 21)
			}
			if rng.IntN(4) == 0 {
				// A pair that ends at the last byte of a chunk, or one before or
				// behind it: where the rules of fastcache have their edges.
				if edge := fcChunk - int(b.head%fcChunk) - 20 - 1 + rng.IntN(3) - 1; edge >= 0 && edge < fcChunk-21 {
					size = edge
				}
			}
			pos := b.place(20 + size)
			cache.Set(key[:], value[:size])
			b.head = pos + uint64(20+size)
			pairs = append(pairs, pair{key, pos})
			for i := range pairs {
				want := pairs[i].pos+b.capacity() >= b.head
				if got := cache.Has(pairs[i].key[:]); got != want {
					t.Fatalf("%d chunks: head %d, pair at %d: fastcache has it: %v, the mirror says %v",
						chunks, b.head, pairs[i].pos, got, want)
				}
			}
			for len(pairs) > 0 && pairs[0].pos+2*b.capacity() < b.head {
				pairs = pairs[1:]
			}
		}
		cache.Reset()
	}
}

// What is logged comes back in order, through many rounds.
func TestBucketLog(t *testing.T) {
	for _, chunks := range []int{1, 3} {
		rng := rand.New(rand.NewPCG(2, uint64(chunks)))
		b := &newBuckets(chunks)[0]
		var want []logRecord
		for b.head < 20*b.capacity() {
			size := 1 + rng.IntN(9000)
			for b.free() < uint64(size)+fcChunk/4 {
				var got logRecord
				if !b.pop(&got) {
					t.Fatal("the log is empty and there is no room")
				}
				if got != want[0] {
					t.Fatalf("popped %+v, want %+v", got, want[0])
				}
				want = want[1:]
			}
			pos := b.place(size)
			home := rng.Uint32()
			r := logRecord{home: uint16(home >> (32 - homeLogBits)), slot: uint16(rng.Uint32()), pos: pos}
			if rng.IntN(3) == 0 {
				r.piece, r.id, r.index = true, rng.Uint64()&logIDMask, rng.IntN(maxPieces)
				b.pushPiece(home, r.slot, r.id, r.index, pos, size)
			} else {
				b.pushHead(home, r.slot, pos, size)
			}
			want = append(want, r)
		}
		var got logRecord
		for _, w := range want {
			if !b.pop(&got) || got != w {
				t.Fatalf("popped %+v, want %+v", got, w)
			}
		}
		if b.pop(&got) || b.free() != b.capacity() {
			t.Fatal("the log should be empty")
		}
	}
}

func TestHeadRoundTrip(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	for range 2000 {
		in := head{
			written: rng.Int64N(writtenMask), key: make([]byte, 2+rng.IntN(1<<rng.IntN(11))),
			length: rng.IntN(1000),
		}
		in.version.Term, in.version.Clock = rng.Uint32()>>rng.IntN(32), rng.Uint64()
		in.etag = 5
		switch rng.IntN(3) {
		case 0:
			in.etag, in.version.Clock = 0, 0
		case 1: // as this process writes them
			in.version.Clock = uint64(in.written*1000+testEpoch+rng.Int64N(1000)) << hlcCounterBits
			in.etag = proto.ETag(in.version.Clock)
		}
		if rng.IntN(2) == 0 {
			in.expiry = 1 + rng.Int64()>>1
		}
		if rng.IntN(2) == 0 {
			in.pieces, in.pieceID, in.salts = true, rng.Uint64(), make([]byte, 1+rng.IntN(maxPieces))
		} else {
			in.value = make([]byte, in.length)
		}
		b := appendHead(nil, testEpoch, &in)
		var out head
		if !parseHead(b, testEpoch, &out) {
			t.Fatal("does not parse")
		}
		if again := appendHead(nil, testEpoch, &out); string(again) != string(b) || out.length != in.length || out.size != len(b) ||
			out.version != in.version || out.written != in.written || len(out.key) != len(in.key) {
			t.Fatalf("%+v became %+v", in, out)
		}
	}
}

func FuzzParseHead(f *testing.F) {
	f.Add(appendHead(nil, testEpoch, &head{key: []byte("ikey"), value: []byte("v"), expiry: 3}))
	f.Add(appendHead(nil, testEpoch, &head{key: make([]byte, 300), version: proto.Version{Term: 1 << 20}}))
	f.Add(appendHead(nil, testEpoch, &head{key: []byte("ikey"), pieces: true, salts: []byte{1, 2}, length: 9000}))
	f.Fuzz(func(t *testing.T, b []byte) {
		var h head
		if parseHead(b, testEpoch, &h) && len(h.key)+len(h.value)+len(h.salts) > len(b) {
			t.Fatal("more came out than was in")
		}
	})
}

func TestSlotSetModel(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	var s slotSet
	model := map[hash]granule{}
	var keys []hash
	for i := range 400 {
		var h hash
		// Few homes, so that runs are long and wrap.
		binary.LittleEndian.PutUint32(h[2:], uint32(rng.IntN(40))*0x3333333)
		binary.LittleEndian.PutUint16(h[6:], uint16(i+1))
		keys = append(keys, h)
	}
	for step := range 200_000 {
		h := keys[rng.IntN(len(keys))]
		if step/20_000%2 == 1 {
			h = keys[rng.IntN(20)] // let it shrink
		}
		_, there := model[h]
		switch r := s.find(&h); {
		case (r != nil) != there:
			t.Fatalf("step %d: found %v, want %v", step, r != nil, there)
		case r != nil && r.position() != model[h]:
			t.Fatalf("step %d: wrong position", step)
		case r != nil && (step/20_000%2 == 1 || rng.IntN(2) == 0):
			if removed, _ := s.remove(&h); !removed {
				t.Fatal("not removed")
			}
			delete(model, h)
		case r == nil && step/20_000%2 == 0:
			pos := granuleOf(rng.Uint64())
			s.insert(&h, pos, 0)
			model[h] = pos
		}
		if int(s.n) != len(model) {
			t.Fatalf("step %d: %d records, want %d", step, s.n, len(model))
		}
		if step%1000 == 0 {
			for h, pos := range model {
				met := false
				s.each(uint16(h.home()>>(32-homeLogBits)), func(r *record) bool {
					met = met || r.hash(0) == h && r.position() == pos
					return false
				})
				if !met {
					t.Fatalf("step %d: each misses a record", step)
				}
			}
		}
	}
}

// In a set with more records than a log can tell homes apart, each finds every one.
func TestSlotSetEachOfMany(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 6))
	var s slotSet
	var all []hash
	for range 100_000 {
		var h hash
		binary.LittleEndian.PutUint64(h[:], rng.Uint64()<<16|1<<20)
		all = append(all, h)
		s.insert(&h, granule(len(all)), 0)
	}
	looks := 0
	for i := range all {
		met := false
		s.each(uint16(all[i].home()>>(32-homeLogBits)), func(r *record) bool {
			looks++
			met = r.position() == granule(i+1)
			return met
		})
		if !met {
			t.Fatal("a record is missed")
		}
	}
	if looks > 4*len(all) {
		t.Errorf("%d looks for %d records", looks, len(all))
	}
}

// The sets do not hold much more than they need, however long entries come and go.
func TestSlotSetStaysSmall(t *testing.T) {
	const slots = 256
	for _, each := range []int{4, 11, 30} {
		rng := rand.New(rand.NewPCG(5, uint64(each)))
		sets := make([]slotSet, slots)
		type entry struct {
			slot int
			hash hash
		}
		var queue []entry
		for range 30 * each * slots {
			e := entry{slot: rng.IntN(slots)}
			binary.LittleEndian.PutUint64(e.hash[:], rng.Uint64()|1<<32)
			sets[e.slot].insert(&e.hash, 1, 0)
			if queue = append(queue, e); len(queue) > each*slots {
				sets[queue[0].slot].remove(&queue[0].hash)
				queue = queue[1:]
			}
		}
		records := 0
		for i := range sets {
			records += len(sets[i].records)
		}
		if per := float64(records) / float64(len(queue)); per > 2 {
			t.Errorf("%d entries in each slot: %.2f records for each", each, per)
		}
	}
}

// A set that is emptied from one end stays a good hash table: its runs stay short
// while it shrinks.
func TestSlotSetEmptiedInOrder(t *testing.T) {
	var s slotSet
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200_000 {
		var h hash
		binary.LittleEndian.PutUint64(h[:], rng.Uint64()|1<<32)
		s.insert(&h, 1, 0)
	}
	for i := 0; s.n > 0; {
		if i >= len(s.records) {
			i = 0
		}
		if s.records[i].free() {
			i++
			continue
		}
		h := s.records[i].hash(0)
		if _, grown := s.remove(&h); grown == 0 {
			continue
		}
		longest, run := 0, 0
		for _, r := range s.records {
			if run++; r.free() {
				run = 0
			}
			longest = max(longest, run)
		}
		if longest > 1000 { // chance alone gives about 300, an order that is kept 14,000
			t.Fatalf("%d records of %d in one run", longest, s.n)
		}
	}
}
