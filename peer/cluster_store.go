package peer

import (
	"github.com/smache/smache/peer/hold"
	"github.com/smache/smache/proto"
)

// This file is hold.Store: the store as the machine wants it.

// Hold is hold.Store's.
func (k *keeper) Hold(slot hold.Slot, term uint32, importing bool) {
	k.store.Hold(slot, term, importing)
}

// Release is hold.Store's.
func (k *keeper) Release(slot hold.Slot) { k.store.Release(slot) }

// Remember is hold.Store's.
func (k *keeper) Remember(slot hold.Slot, on bool) { k.store.Remember(slot, on) }

// Knows is hold.Store's.
func (k *keeper) Knows(slot hold.Slot, key string) bool { return k.store.Knows(slot, []byte(key)) }

// Keys is hold.Store's.
func (k *keeper) Keys(slot hold.Slot) []string { return k.store.SlotKeys(slot) }

// Items is hold.Store's.
func (k *keeper) Items(slot hold.Slot, keys []string, limit int) ([]hold.Entry, int) {
	const most = proto.MaxBody - proto.MaxBody/8 // what fits into a frame, with room for its head
	if cap(k.item) > 4*moveBatch {
		k.item = nil
	}
	k.item, k.items = k.item[:0], k.items[:0]
	took, used := 0, 0
	for _, key := range keys {
		if took > 0 && used >= limit {
			break
		}
		var e proto.Entry
		item, ok := k.store.Item(slot, []byte(key), k.item, &e)
		if ok {
			size := proto.EntryLen(len(e.Key), len(e.Value))
			if took > 0 && used+size > most {
				break
			}
			k.item = item
			used += size
			k.items = append(k.items, e)
		}
		took++
	}
	return k.items, took
}

// Merge is hold.Store's.
func (k *keeper) Merge(slot hold.Slot, e *hold.Entry) hold.Merged {
	switch k.store.Merge(slot, e) {
	case proto.StatusOK:
		return hold.MergeApplied
	case proto.StatusStale:
		return hold.MergeOlder
	}
	return hold.MergeFailed
}

// Remove is hold.Store's.
func (k *keeper) Remove(slot hold.Slot, key string) { k.store.RemoveKey(slot, []byte(key)) }

// Drop is hold.Store's.
func (k *keeper) Drop(slot hold.Slot) int { return k.store.DropSlot(slot) }

// Empty is hold.Store's.
func (k *keeper) Empty(slot hold.Slot) bool { return k.store.SlotLen(slot) == 0 }

// Floor is hold.Store's.
func (k *keeper) Floor(slot hold.Slot) uint32 { return k.store.Floor(slot).Term }

// Clock is hold.Store's.
func (k *keeper) Clock(slot hold.Slot) uint64 { return k.store.Clock(slot) }

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
