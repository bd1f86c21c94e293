package store

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"math/bits"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/VictoriaMetrics/fastcache"
	"github.com/dchest/siphash"

	"github.com/smache/smache/proto"
)

// Config says how large a store is. The zero value of a field is its default.
type Config struct {
	// ArenaBytes is the memory for heads, keys and values: a multiple of
	// ArenaUnit, at least one for each writer. It is taken from the system, and
	// touched, before New returns; with Cluster most of it within minutes after, ahead
	// of what is written. Default: ArenaUnit.
	ArenaBytes int64
	// MaxEntries bounds the index: entries, and the pieces of large values, that
	// may be held at once. Above it the oldest entries are evicted. Default: what
	// the arena can hold at 128 bytes each.
	MaxEntries int
	// MaxValue is the longest value in bytes. Default 1 MiB; at most 1/64 of the
	// arena, and 264 pieces.
	MaxValue int
	// QueueLen is the length of each writer's queue, rounded up to a power of
	// two. A write that finds it full fails with proto.StatusQueueFull. Default
	// 4096.
	QueueLen int
	// Writers is the number of writers, a power of two, each with its group of
	// slots and its part of the arena. Default: half the cores, at most 16, and
	// not so many that a part is below 64 MiB.
	Writers int
	// Clock is where time comes from. Default: SystemClock.
	Clock Clock
	// Secret keys the hash that entries are found by. Default: random.
	Secret [16]byte
	// Cluster says that the slots change hands: none is held until Hold says so,
	// and none is served until ServeUntil says how long. Default: this process
	// holds all slots, under term 1, for ever.
	Cluster bool
	// RecordBytes bounds the memory for records of keys that went (Remember).
	// Default: 1/64 of the arena, and at least 1 MiB.
	RecordBytes int64
	// Panicked, if set, is told of each panic that a writer has recovered from,
	// on the goroutine that met it. It must not call the store.
	Panicked func(reason any)
	// Node is the name that operations carry back as proto.Op.Node.
	Node string
}

// The errors of New.
var (
	ErrArena    = errors.New("store: the arena must be a multiple of 32 MiB, below 128 GiB, for each writer")
	ErrMaxValue = errors.New("store: the longest value does not fit")
	ErrMemory   = errors.New("store: the arena's memory cannot be had")
)

// Store holds the entries of one process. Its methods may be called from any
// goroutine.
type Store struct {
	clock   Clock
	epoch   int64 // clockOffset when the store began: heads count from it
	node    string
	k0, k1  uint64
	seed    maphash.Seed // of the checks of values
	writers []*writer
	slots   []slotSet // each is its writer's

	// With Config.Cluster, one for each slot; else nil.
	roles    []atomic.Uint64 // role.go
	holds    []atomic.Uint64 // a bit for each slot, role.go
	memories []memory        // gone.go; each is its writer's
	lease    atomic.Int64    // on clock; nothing is served from then on
	panicked func(any)

	maxValue      int
	pieceSize     int
	inlineMax     int
	reserve       uint64 // see writer.makeRoom
	writerArena   int64
	writerEntries int

	touching  touching
	closeOnce sync.Once
}

// New makes a store, and takes its memory from the system, see Config.ArenaBytes. The errors are ErrArena,
// ErrMaxValue and ErrMemory. The process keeps the memory after Close, for the
// next store.
func New(cfg Config) (*Store, error) {
	if cfg.ArenaBytes == 0 {
		cfg.ArenaBytes = ArenaUnit
	}
	if cfg.Writers == 0 {
		cfg.Writers = DefaultWriters(cfg.ArenaBytes)
	}
	if cfg.Writers < 0 || bits.OnesCount(uint(cfg.Writers)) != 1 || cfg.ArenaBytes <= 0 ||
		cfg.ArenaBytes%(ArenaUnit*int64(cfg.Writers)) != 0 || cfg.ArenaBytes/int64(cfg.Writers) >= maxWriterArena {
		return nil, fmt.Errorf("%w: %d bytes, %d writers", ErrArena, cfg.ArenaBytes, cfg.Writers)
	}
	if cfg.Clock == nil {
		cfg.Clock = SystemClock()
	}
	if cfg.QueueLen == 0 {
		cfg.QueueLen = 4096
	}
	if cfg.MaxEntries == 0 {
		cfg.MaxEntries = int(cfg.ArenaBytes / 128)
	}
	if cfg.RecordBytes == 0 {
		cfg.RecordBytes = max(cfg.ArenaBytes/64, 1<<20)
	}
	if cfg.Secret == [16]byte{} {
		if _, err := rand.Read(cfg.Secret[:]); err != nil {
			return nil, fmt.Errorf("store: no randomness: %w", err)
		}
	}
	s := &Store{
		clock: cfg.Clock, epoch: clockOffset(cfg.Clock), node: cfg.Node, panicked: cfg.Panicked,
		seed:          maphash.MakeSeed(),
		k0:            binary.LittleEndian.Uint64(cfg.Secret[:]),
		k1:            binary.LittleEndian.Uint64(cfg.Secret[8:]),
		writerArena:   cfg.ArenaBytes / int64(cfg.Writers),
		writerEntries: max(cfg.MaxEntries/cfg.Writers, maxPieces+1),
	}
	capacity := int(s.writerArena / fcBuckets)
	s.pieceSize, s.inlineMax = pieceLayout(capacity)
	largestHead := kvOverhead + hashLen + headMost + proto.MaxCanonicalLen + max(s.inlineMax, headPieces+maxPieces)
	s.reserve = 2 * uint64(max(largestHead, s.pieceSize+kvOverhead+pieceKeyLen))
	largest := min(int(s.writerArena/64), s.pieceSize*maxPieces)
	if s.maxValue = cfg.MaxValue; s.maxValue == 0 {
		s.maxValue = min(1<<20, largest)
	}
	if s.maxValue > largest {
		return nil, fmt.Errorf("%w: %d bytes, above the %d that an arena of %d bytes and %d writers allows",
			ErrMaxValue, s.maxValue, largest, cfg.ArenaBytes, cfg.Writers)
	}
	s.slots = make([]slotSet, proto.Slots)
	if cfg.Cluster {
		s.roles = make([]atomic.Uint64, proto.Slots)
		s.holds = make([]atomic.Uint64, proto.Slots/64)
		s.memories = make([]memory, proto.Slots)
	}
	for range cfg.Writers {
		s.writers = append(s.writers, newWriter(s, len(s.writers), &cfg))
	}
	if err := s.touch(cfg.Cluster); err != nil {
		return nil, err
	}
	for _, w := range s.writers {
		go w.run()
	}
	return s, nil
}

// DefaultWriters is the number of writers of an arena of so many bytes, unless Config
// says another.
func DefaultWriters(arena int64) int {
	n := 1
	for arena/int64(n) >= maxWriterArena && arena%(ArenaUnit*int64(n)*2) == 0 {
		n *= 2
	}
	for n*2 <= runtime.GOMAXPROCS(0)/2 && n < 16 && arena%(ArenaUnit*int64(n)*2) == 0 && arena/int64(n*2) >= 2*ArenaUnit {
		n *= 2
	}
	return n
}

func newWriter(s *Store, index int, cfg *Config) *writer {
	w := &writer{
		store: s, index: index, clock: s.clock,
		sweep:   sweeper{slot: index},
		cache:   fastcache.New(int(s.writerArena)),
		ring:    newRing(cfg.QueueLen),
		buckets: newBuckets(int(s.writerArena / ArenaUnit)),
		slots:   s.slots, memories: s.memories,
		gone:    goneTable{limit: cfg.RecordBytes / int64(cfg.Writers)},
		kick:    make(chan struct{}, 1),
		stop:    make(chan struct{}),
		stopped: make(chan struct{}),
	}
	w.hlc.base = s.epoch
	w.hlc.sync(w.clock)
	w.turn = w.clock.Now()
	w.swept = w.turn
	return w
}

// MaxValue is the longest value in bytes that the store takes.
func (s *Store) MaxValue() int { return s.maxValue }

func (s *Store) hash(slot proto.Slot, key []byte) (h hash) {
	// A tail of zeros marks a free place in a set, so no key has it.
	tail := max(siphash.Hash(s.k0, s.k1, key)<<16, 1<<16)
	binary.LittleEndian.PutUint64(h[:], tail|uint64(slot))
	return h
}

// Submit carries out op, whose slot must be its key's. Reads, and writes that
// find nobody else at work, are complete when it returns: true. Otherwise it
// returns false, and op.Done is called when op is complete, on any goroutine. A
// write is complete when every later read gives it, or something newer.
//
// With Config.Cluster an operation on a slot that is not held fails with
// proto.StatusNotHolder, and one on a slot that is being imported, unless
// op.Importing is set, with proto.StatusBusy; so does every operation past the
// lease. Nothing is done then. A write that the lease has run out under fails
// with proto.StatusUnreachable: it may have been applied. One that meets a bug of
// this package fails with proto.StatusInternal.
//
// op and all it points to belong to the store until then.
func (s *Store) Submit(op *proto.Op) bool {
	op.Node = s.node
	if op.Code == proto.OpGet {
		s.get(op)
		return true
	}
	if len(op.Value) > s.maxValue {
		op.Status = proto.StatusTooLarge
		return true
	}
	return s.writer(op.Slot).submit(op)
}

// writer gives the writer of a slot: slots are dealt out in turn.
func (s *Store) writer(slot proto.Slot) *writer { return s.writers[int(slot)%len(s.writers)] }

// Flush drops every entry and every record. Writes answered before the call are
// gone when it returns, and do not come back. Who holds what stays as it is.
func (s *Store) Flush() error {
	for _, w := range s.writers {
		w.exclusive(w.flush)
	}
	return nil
}

// Close drops every entry and ends the store's goroutines. Operations under way
// are carried out first; none may be submitted after it.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		s.touching.end()
		for _, w := range s.writers {
			close(w.stop)
			<-w.stopped
			w.exclusive(func() {
				for w.drain(turnLimit) == turnLimit {
				}
				w.flush()
			})
		}
	})
	return nil
}
