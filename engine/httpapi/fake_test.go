package httpapi

import (
	"hash/fnv"
	"sync"
	"time"

	"github.com/smache/smache/proto"
)

// fake is a Cache: a map with the semantics of proto.Op.
type fake struct {
	mu      sync.Mutex
	entries map[string]fakeEntry
	now     time.Time
	// late completes operations on other goroutines, after Submit has returned.
	late bool
	// hold, if not nil, keeps every operation until it is closed.
	hold chan struct{}
	// override, if not nil, answers an operation instead of the map.
	override func(*proto.Op) bool
	flushErr error
	flushes  int
}

type fakeEntry struct {
	value   []byte
	etag    proto.ETag
	written time.Time
	expires time.Time // zero: never
}

func newFake() *fake {
	return &fake{entries: make(map[string]fakeEntry), now: time.Unix(1_700_000_000, 0)}
}

func (f *fake) Submit(op *proto.Op) bool {
	op.Begin()
	if f.late || f.hold != nil {
		go func() {
			if f.hold != nil {
				<-f.hold
			}
			f.apply(op)
			op.Complete()
		}()
		return op.Await()
	}
	f.apply(op)
	op.Complete()
	return op.Await()
}

func (f *fake) apply(op *proto.Op) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.override != nil && f.override(op) {
		return
	}
	op.Node, op.Status = "smache@test", proto.StatusMiss
	e, ok := f.entries[string(op.Key)]
	if ok && !e.expires.IsZero() && !f.now.Before(e.expires) {
		delete(f.entries, string(op.Key))
		e, ok = fakeEntry{}, false
	}
	op.ETag = e.etag
	if !ok && op.Code == proto.OpGet {
		return // a miss, as the store has it, whatever the condition
	}
	if op.IfMatch.Set && !op.IfMatch.Has(e.etag) || op.IfNoneMatch.Set && op.Code != proto.OpGet && op.IfNoneMatch.Has(e.etag) {
		op.Status = proto.StatusPrecondition
		return
	}
	switch op.Code {
	case proto.OpGet:
		op.Status = proto.StatusOK
		op.Age, op.Remaining = f.now.Sub(e.written), proto.Forever
		if !e.expires.IsZero() {
			op.Remaining = e.expires.Sub(f.now)
		}
		switch {
		case op.IfNoneMatch.Set && op.IfNoneMatch.Has(e.etag):
			op.Status = proto.StatusNotModified
		case op.Limit > 0 && len(e.value) > op.Limit:
			op.Status = proto.StatusTooLarge
		default:
			op.Out = append(op.Out, e.value...)
		}
	case proto.OpSet:
		e = fakeEntry{value: append([]byte(nil), op.Value...), etag: fakeETag(op.Value), written: f.now}
		if op.TTL != proto.Forever {
			e.expires = f.now.Add(op.TTL)
		}
		f.entries[string(op.Key)] = e
		op.ETag, op.Status = e.etag, proto.StatusOK
	case proto.OpDelete:
		if ok {
			delete(f.entries, string(op.Key))
			op.Status = proto.StatusOK
		}
	case proto.OpTouch:
		if ok {
			e.expires = time.Time{}
			if op.TTL != proto.Forever {
				e.expires = f.now.Add(op.TTL)
			}
			f.entries[string(op.Key)] = e
			op.Status = proto.StatusOK
		}
	}
}

func (f *fake) Flush() (applied, members int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.flushErr != nil {
		return 0, 1, f.flushErr
	}
	f.flushes++
	clear(f.entries)
	return 1, 1, nil
}

func fakeETag(value []byte) proto.ETag {
	h := fnv.New64a()
	_, _ = h.Write(value)
	return proto.ETag(h.Sum64() | 1)
}

// still is a Cache that does nothing but answer, without a single allocation.
type still struct {
	value  []byte
	status proto.Status
	ttl    time.Duration
}

func (s *still) Submit(op *proto.Op) bool {
	op.Begin()
	op.Status, op.ETag, op.Remaining, op.Age, op.Node = s.status, 0x0123456789abcdef, s.ttl, 1500*time.Millisecond, "smache@test"
	if op.Code == proto.OpGet {
		op.Out = append(op.Out, s.value...)
	}
	op.Complete()
	return op.Await()
}

func (s *still) Flush() (applied, members int, err error) { return 1, 1, nil }
