package store

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/smache/smache/proto"
)

// slotModel is a store with few slots and entries of a cluster, and what must be
// in it. What is evicted nobody can foresee: the model looks after it before it
// uses a key, believes an eviction that the store counts, and holds the store to
// the record that it must have left.
type slotModel struct {
	t     *testing.T
	s     *Store
	clock *testClock
	rng   *rand.Rand
	tight bool // records may find no memory

	names   []string // whose slots are used
	roles   map[proto.Slot]*modelRole
	keys    map[proto.Slot][]string
	entries map[string]*modelItem
	lease   time.Duration
	evicted uint64
	trace   string // the last step
}

type modelRole struct {
	term                      uint32
	held, importing, remember bool
}

// modelItem is what the model knows of a key: its entry, if live; or the version
// under which it went since the slot has remembered, if any.
type modelItem struct {
	live    bool
	value   string
	version proto.Version
	expiry  int64
	gone    proto.Version
}

func newSlotModel(t *testing.T, seed uint64, tight bool) *slotModel {
	m := &slotModel{
		t: t, clock: newTestClock(), rng: rand.New(rand.NewPCG(seed, 9)), tight: tight,
		names: []string{"a", "b", "c"}, roles: map[proto.Slot]*modelRole{}, keys: map[proto.Slot][]string{},
		entries: map[string]*modelItem{},
	}
	cfg := Config{Clock: m.clock, Cluster: true, Writers: 1, MaxEntries: 300, RecordBytes: 1 << 20}
	if tight {
		cfg.RecordBytes = 40 * goneCost(12)
	}
	m.s = newTestStore(t, cfg)
	endTicks(m.s) // a history is a function of its seed
	for _, name := range m.names {
		slot := slotOf(name)
		m.roles[slot] = &modelRole{}
		for i := range 150 {
			k := string(slotKey(nil, name, i))
			m.keys[slot] = append(m.keys[slot], k)
			m.entries[k] = &modelItem{}
		}
	}
	return m
}

func (m *slotModel) fatalf(format string, args ...any) {
	m.t.Helper()
	m.t.Fatalf(m.trace+": "+format, args...)
}

// refresh compares what the store has of a key with the model.
func (m *slotModel) refresh(slot proto.Slot, k string) *modelItem {
	m.t.Helper()
	it, role := m.entries[k], m.roles[slot]
	var e proto.Entry
	_, found := m.s.Item(slot, []byte(k), nil, &e)
	expired := it.live && it.expiry != 0 && m.clock.Now() >= it.expiry
	switch {
	case expired && !role.remember: // there, as a record, or swept
		if found && (!e.Gone || e.Meta.Version != it.version) {
			m.fatalf("%+v of an expired entry of %v", e.Meta, it.version)
		}
		it.live = false
	case expired:
		it.live, it.gone = false, it.version
		if !found && !m.tight || found && (!e.Gone || e.Meta.Version != it.version) {
			m.fatalf("found %t, %+v, of an expired entry of %v", found, e.Meta, it.version)
		}
	case it.live && found && !e.Gone:
		left := proto.Forever
		if it.expiry != 0 {
			left = time.Duration(it.expiry - m.clock.Now())
		}
		if e.Meta.Version != it.version || string(e.Value) != it.value || e.Meta.Remaining != left {
			m.fatalf("%d bytes of %v, want %d of %v", len(e.Value), e.Meta.Version, len(it.value), it.version)
		}
	case it.live: // evicted
		if found && e.Meta.Version != it.version || !found && role.remember && !m.tight {
			m.fatalf("found %t, %v of an evicted entry of %v", found, e.Meta.Version, it.version)
		}
		m.evicted++
		if it.live = false; role.remember {
			it.gone = it.version
		}
	case found && !e.Gone:
		m.fatalf("%v is back", e.Meta.Version)
	case role.remember && it.gone != (proto.Version{}) && !m.tight && (!found || e.Meta.Version != it.gone):
		m.fatalf("found %t, %v, want a record of %v", found, e.Meta.Version, it.gone)
	}
	// The look at what has expired can find no memory for its record.
	if knows := m.s.Knows(slot, []byte(k)); knows != (it.live || found && role.remember) && !(m.tight && expired && !knows) {
		m.fatalf("known: %t; live %t, found %t", knows, it.live, found)
	}
	return it
}

// refreshSlot does so for all keys of a slot, and holds SlotKeys to the result.
func (m *slotModel) refreshSlot(slot proto.Slot) {
	m.t.Helper()
	listed := map[string]bool{}
	lastLive := proto.Version{Term: 1 << 31}
	for i, k := range m.s.SlotKeys(slot) {
		if m.entries[k] == nil || listed[k] {
			m.fatalf("%q is listed, twice %t", k, listed[k])
		}
		listed[k] = true
		if it := m.refresh(slot, k); it.live {
			if lastLive.Less(it.version) {
				m.fatalf("key %d of %v is listed after %v", i, it.version, lastLive)
			}
			lastLive = it.version
		}
	}
	n := 0
	for _, k := range m.keys[slot] {
		it := m.refresh(slot, k)
		if it.live && !listed[k] || m.roles[slot].remember && !m.tight && it.gone != (proto.Version{}) && !listed[k] {
			m.fatalf("%q is not listed", k)
		}
		if _, found := m.s.Item(slot, []byte(k), nil, new(proto.Entry)); found {
			n++
		}
	}
	if got := m.s.SlotLen(slot); got != n {
		m.fatalf("%d in the slot, want %d", got, n)
	}
}

// clear is what flush, drop and remove leave of a key.
func (m *slotModel) clear(slot proto.Slot) {
	for _, k := range m.keys[slot] {
		*m.entries[k] = modelItem{}
	}
}

func (m *slotModel) step(n int) {
	rng := m.rng
	slot := slotOf(m.names[rng.IntN(len(m.names))])
	role := m.roles[slot]
	k := m.keys[slot][rng.IntN(len(m.keys[slot]))]
	p := rng.IntN(1000)
	m.trace = fmt.Sprintf("step %d: %d on %q", n, p, k)
	switch {
	case p < 500:
		m.operate(slot, k)
	case p < 850:
		m.merge(slot, k)
	case p < 900:
		m.clock.advance(time.Duration(rng.Int64N(int64(200 * time.Millisecond))))
	case p < 930:
		m.s.writers[0].exclusive(func() { m.s.writers[0].sweepSome(200, sweepEmpty) })
	case p < 955:
		role.term++
		role.held, role.importing = true, rng.IntN(2) == 0
		m.s.Hold(slot, role.term, role.importing)
	case p < 960:
		role.held = false
		m.s.Release(slot)
	case p < 980:
		m.lease = m.s.Now() + time.Duration(rng.Int64N(int64(5*time.Second)))
		m.s.ServeUntil(m.lease)
	case p < 985:
		m.refresh(slot, k)
		m.s.RemoveKey(slot, []byte(k))
		*m.entries[k] = modelItem{}
	case p < 990:
		m.refreshSlot(slot)
	case p < 997:
		m.refreshSlot(slot)
		on := rng.IntN(3) != 0
		if m.s.Remember(slot, on); !on {
			for _, k := range m.keys[slot] {
				m.entries[k].gone = proto.Version{}
			}
		}
		role.remember = on
	case p < 999:
		m.refreshSlot(slot)
		want := m.s.SlotLen(slot) - int(m.s.memories[slot].n)
		if got := m.s.DropSlot(slot); got != want {
			m.fatalf("dropped %d of %d", got, want)
		}
		m.clear(slot)
	default:
		for slot := range m.roles {
			m.refreshSlot(slot)
		}
		if err := m.s.Flush(); err != nil {
			m.t.Fatal(err)
		}
		for slot := range m.roles {
			m.clear(slot)
		}
	}
}

// value gives a value: most are small, some in pieces, some the one that is there.
func (m *slotModel) value(it *modelItem) string {
	switch m.rng.IntN(20) {
	case 0:
		return strings.Repeat("p", m.s.inlineMax+m.rng.IntN(100_000))
	case 1, 2, 3:
		return it.value
	}
	return strings.Repeat("v", m.rng.IntN(50)) + fmt.Sprint(m.rng.Uint32())
}

func (m *slotModel) ttl() (ttl time.Duration, expiry int64) {
	if m.rng.IntN(2) == 0 {
		return proto.Forever, 0
	}
	ttl = time.Duration(1 + m.rng.Int64N(int64(2*time.Second)))
	return ttl, m.clock.Now() + int64(ttl)
}

// operate submits an operation of a client.
func (m *slotModel) operate(slot proto.Slot, k string) {
	it, role := m.refresh(slot, k), m.roles[slot]
	was := *it
	ttl, expiry := m.ttl()
	op := &proto.Op{
		Code: []proto.Opcode{proto.OpGet, proto.OpGet, proto.OpSet, proto.OpSet, proto.OpTouch, proto.OpDelete}[m.rng.IntN(6)],
		Key:  []byte(k), TTL: ttl, Importing: m.rng.IntN(2) == 0,
	}
	if op.Code == proto.OpSet {
		op.Value = []byte(m.value(it))
	}
	want := proto.StatusOK
	switch {
	case !role.held:
		want = proto.StatusNotHolder
	case role.importing && !op.Importing, m.s.Now() >= m.lease:
		want = proto.StatusBusy
	case !it.live && op.Code != proto.OpSet:
		want = proto.StatusMiss
	}
	if do(m.s, op); op.Status != want {
		m.fatalf("operation %d: %v, want %v", op.Code, op.Status, want)
	}
	if want == proto.StatusNotHolder || want == proto.StatusBusy {
		return
	}
	switch {
	case op.Code == proto.OpDelete:
		*it = modelItem{gone: it.gone}
		if role.remember {
			it.gone = op.Version
		}
	case want == proto.StatusMiss:
	case op.Code == proto.OpGet:
		if string(op.Out) != it.value || op.Version != it.version {
			m.fatalf("read %d bytes of %v, want %d of %v", len(op.Out), op.Version, len(it.value), it.version)
		}
	default:
		it.live, it.version, it.expiry = true, op.Version, expiry
		if op.Code == proto.OpSet {
			it.value = string(op.Value)
		}
	}
	if v := op.Version; v != (proto.Version{}) && v != was.version {
		if v.Term != role.term || !was.version.Less(v) || !was.gone.Less(v) {
			m.fatalf("version %v after %v and %v, term %d", v, was.version, was.gone, role.term)
		}
	}
	if it.live {
		it.gone = proto.Version{}
	}
}

// merge takes in a copy, or a record, from elsewhere.
func (m *slotModel) merge(slot proto.Slot, k string) {
	it, role := m.refresh(slot, k), m.roles[slot]
	known := it.gone
	if it.live {
		known = it.version
	}
	v := known
	if m.rng.IntN(2) == 0 && known.Clock > 0 {
		v.Clock += uint64(m.rng.IntN(3)) - 1
	} else {
		now := max(m.s.Clock(slot), uint64(m.clock.Wall())<<hlcCounterBits)
		v = proto.Version{Term: 1 + m.rng.Uint32N(max(role.term, 1)), Clock: now - 2000 + uint64(m.rng.IntN(4000))}
	}
	ttl, expiry := m.ttl()
	e := &proto.Entry{Key: []byte(k), Meta: proto.Meta{ETag: 7, Version: v, Remaining: ttl}}
	switch e.Gone = m.rng.IntN(4) == 0; {
	case e.Gone:
		e.Meta = proto.Meta{Version: v}
	case m.rng.IntN(20) == 0:
		e.Meta.Remaining = -1
	default:
		e.Value = []byte(m.value(it))
	}
	want := proto.StatusOK
	if !known.Less(v) {
		want = proto.StatusStale
	}
	refused := m.s.Stats().MergeOverflow
	st := m.s.Merge(slot, e)
	if m.tight && st == proto.StatusStale && m.s.Stats().MergeOverflow > refused && role.remember {
		return
	}
	switch {
	case st != want:
		m.fatalf("merge %v over %v: %v", v, known, st)
	case st != proto.StatusOK:
	case e.Gone || e.Meta.Remaining < 0:
		*it = modelItem{}
		if role.remember {
			it.gone = v
		}
	default:
		*it = modelItem{live: true, value: string(e.Value), version: v, expiry: expiry}
	}
}

// TestClusterModel drives stores of a cluster with random operations, merges,
// changes of hands, sweeps, flushes and evictions.
func TestClusterModel(t *testing.T) {
	for seed := range uint64(shorter(6, 2)) {
		tight := seed%2 == 1
		t.Run(fmt.Sprintf("%d,tight=%t", seed, tight), func(t *testing.T) {
			m := newSlotModel(t, seed, tight)
			for n := range 20_000 {
				m.step(n)
			}
			for slot := range m.roles {
				m.refreshSlot(slot)
			}
			checkAccounts(t, m.s)
			st := m.s.Stats()
			// What was evicted, and would have expired before anyone looked, nobody saw.
			if m.evicted > st.Evicted || m.evicted == 0 || st.Expired == 0 || st.Lost+st.Panics != 0 {
				t.Errorf("%d evicted, %d seen; %d expired, %d lost, %d panics", st.Evicted, m.evicted, st.Expired, st.Lost, st.Panics)
			}
			if tight != (st.Overflows > 0) || tight != (st.MergeOverflow > 0) || st.Merged == 0 || st.MergeOlder == 0 {
				t.Errorf("%d overflows, %d refused for them; %d merged, %d older", st.Overflows, st.MergeOverflow, st.Merged, st.MergeOlder)
			}
		})
	}
}
