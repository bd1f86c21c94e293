package peer

import (
	"github.com/smache/smache/peer/hold"
	"github.com/smache/smache/proto"
)

// This file is hold.Store: the store as the machine wants it.

// Hold is hold.Store's. Like Release and Remember it is put off until settleRoles.
func (k *keeper) Hold(slot hold.Slot, term uint32, importing bool) {
	r := k.role(slot)
	r.Term, r.Importing = term, importing
}

// Release is hold.Store's.
func (k *keeper) Release(slot hold.Slot) {
	r := k.role(slot)
	r.Term, r.Importing = 0, false
}

// Remember is hold.Store's.
func (k *keeper) Remember(slot hold.Slot, on bool) {
	r := k.role(slot)
	r.Remember, r.Forget = on, !on
}

// role gives the change of a slot's role that is to come.
func (k *keeper) role(slot hold.Slot) *proto.SlotRole {
	i, ok := k.changed[slot]
	if !ok {
		i = len(k.changes)
		k.changed[slot] = i
		r := proto.SlotRole{Slot: slot}
		if term, importing, held := k.store.Serves(slot); held {
			r.Term, r.Importing = term, importing
		}
		k.changes = append(k.changes, r)
	}
	return &k.changes[i]
}

// settleRoles changes the roles of slots in the store, many at a time, and then
// sends the grants that tell of it.
func (k *keeper) settleRoles() {
	if k.settling || len(k.changes)+len(k.grants) == 0 {
		return
	}
	k.settling = true
	k.store.SetRoles(k.changes)
	for i := range k.changes {
		if c := &k.changes[i]; c.Forget && c.Records > 0 {
			k.store.Remember(c.Slot, false)
		}
	}
	for i := range k.grants {
		g := &k.grants[i]
		if at, ok := k.changed[g.m.Slot]; ok {
			g.m.Clock, g.m.Empty = k.changes[at].Clock, k.changes[at].Len == 0
		} else {
			g.m.Clock, g.m.Empty = k.store.Clock(g.m.Slot), k.store.SlotLen(g.m.Slot) == 0
		}
		k.clock = max(k.clock, g.m.Clock)
		k.mailOut(g.to, &g.m)
	}
	clear(k.changed)
	k.changes, k.grants, k.settling = k.changes[:0], k.grants[:0], false
}

// Knows is hold.Store's.
func (k *keeper) Knows(slot hold.Slot, key string) bool { return k.store.Knows(slot, []byte(key)) }

// Keys is hold.Store's.
func (k *keeper) Keys(slot hold.Slot) []string { return k.store.SlotKeys(slot) }

// Items is hold.Store's.
func (k *keeper) Items(slot hold.Slot, keys []string, limit int) ([]hold.Entry, int) {
	const most = proto.MaxBody / 2 // with the longest value behind it, it fits into a frame
	if cap(k.item) > 4*moveBatch {
		k.item = nil
	}
	took := 0
	k.item, k.items, took = k.store.Items(slot, keys, min(limit, most-proto.MaxSlotMessage), k.item[:0], k.items[:0])
	return k.items, took
}

// Merge is hold.Store's.
func (k *keeper) Merge(slot hold.Slot, items []hold.Entry) (got hold.Merged) {
	k.statuses, got.Aged = k.store.MergeAll(slot, items, k.statuses[:0])
	for i, status := range k.statuses {
		switch {
		case items[i].Gone:
		case status == proto.StatusOK:
			got.Applied++
		case status == proto.StatusStale:
			got.Older++
		default:
			got.Failed++
		}
	}
	got.Older -= got.Aged
	return got
}

// Remove is hold.Store's.
func (k *keeper) Remove(slot hold.Slot, keys []string) int { return k.store.RemoveKeys(slot, keys) }

// Drop is hold.Store's.
func (k *keeper) Drop(slot hold.Slot) int {
	k.settleRoles() // a slot that is dropped is served no more
	return k.store.DropSlot(slot)
}

// Floor is hold.Store's.
func (k *keeper) Floor(slot hold.Slot) hold.Version { return k.store.Floor(slot) }

// Clock is hold.Store's.
func (k *keeper) Clock() uint64 { return max(k.clock, k.adopted) }

// Adopt is hold.Store's.
func (k *keeper) Adopt(clock uint64) {
	if clock > k.adopted { // else the store is past it
		k.adopted = clock
		k.store.Adopt(clock)
	}
}

// Flush is hold.Store's.
func (k *keeper) Flush() {
	if err := k.store.Flush(); err != nil {
		k.log.Error("cluster: the store could not be flushed", "error", err)
	}
}
