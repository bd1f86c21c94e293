package peer

import (
	"slices"
	"time"

	"github.com/smache/smache/peer/hold"
	"github.com/smache/smache/proto"
)

// target is where operations on a slot go.
type target struct {
	id   hold.ID
	link *Link
	self bool
}

// Each slot's route is a word, for it is read for each operation: above the place
// of the target in keeper.targets, below the term under which it holds the slot, 0
// if that is only to be expected. Place 0 is nobody. There is a target for each run of
// a node that held something; from keepTargets on, places that no route names are
// used again. Who has read such a route just before sends one operation to the wrong
// node, which says so.

// keepTargets is how many targets there are before places are used again.
const keepTargets = 256

// Route is hold.Driver's.
func (k *keeper) Route(slot hold.Slot, to hold.ID, term uint32) {
	k.routes[slot].Store(uint64(k.place(to))<<32 | uint64(term))
}

// place gives the place of a target.
func (k *keeper) place(to hold.ID) uint32 {
	if to.Name == "" {
		return 0
	}
	if at, ok := k.byName[to]; ok {
		return at
	}
	t := &target{id: to, self: to.Name == k.cfg.Name}
	if !t.self {
		if c := k.book[to.Name]; c != nil {
			t.link = k.links.Connect(to.Name, c.peer)
		} else {
			t.link = k.links.Link(to.Name)
		}
		if t.link == nil {
			return 0 // not yet: the next change of the member list finds it
		}
	}
	list := slices.Clone(*k.targets.Load())
	at, ok := k.freePlace(list)
	if ok {
		delete(k.byName, list[at].id)
		list[at] = t
	} else {
		at = uint32(len(list))
		list = append(list, t)
	}
	k.byName[to] = at
	k.targets.Store(&list)
	return at
}

// freePlace finds a place that no route names, once there are many targets.
func (k *keeper) freePlace(list []*target) (at uint32, ok bool) {
	if len(list) < keepTargets {
		return 0, false
	}
	used := make([]bool, len(list))
	used[0] = true
	for i := range k.routes {
		used[k.routes[i].Load()>>32] = true
	}
	i := slices.Index(used, false)
	return uint32(max(i, 0)), i > 0
}

// target gives where operations on a slot go, and the term.
func (k *keeper) target(slot proto.Slot) (*target, uint32) {
	word := k.routes[slot].Load()
	return (*k.targets.Load())[word>>32], uint32(word)
}

// holder is directory's.
func (k *keeper) holder(slot proto.Slot) (link *Link, self, ok bool) {
	t, _ := k.target(slot)
	return t.link, t.self, t.self || t.link != nil
}

// redirect is directory's.
func (k *keeper) redirect(slot proto.Slot) (name string, incarnation uint64, term uint32) {
	t, term := k.target(slot)
	if t.self {
		return "", 0, 0
	}
	return t.id.Name, t.id.Incarnation, term
}

// moved is directory's.
func (k *keeper) moved(slot proto.Slot, from *Link, name []byte, incarnation uint64, term uint32) {
	if t, now := k.target(slot); t.link != from || term != 0 && now >= term {
		return // known already
	}
	holder := hold.ID{Name: string(name), Incarnation: incarnation}
	k.do(func(now time.Duration) {
		t, _ := k.target(slot)
		if t.link == from {
			k.m.Moved(now, slot, t.id, holder, term)
		}
	})
}

// linkTo is directory's.
func (k *keeper) linkTo(name []byte) *Link {
	if string(name) == k.cfg.Name {
		return nil
	}
	return k.links.Link(string(name))
}

// importing is directory's.
func (k *keeper) importing(op *proto.Op, within time.Duration) {
	o := &hold.Op{Slot: op.Slot, Key: string(op.Key), Within: within, Ref: op}
	if !k.post(event{soon: true, do: func(now time.Duration) { k.m.Do(now, o) }}) {
		k.Refuse(o)
	}
}

// upsetFor is how long the loss of a member counts as late: P5 allows as much until
// its slots are served again.
const upsetFor = 5 * time.Second

// upset notes that a member was lost.
func (k *keeper) upset() { k.upsetUntil.Store(int64(k.store.Now() + upsetFor)) }

// lost reports whether a change of the member list is the loss of a member, or of this
// node to the others: it ended, fell silent or came back without having left.
func lost(from, to []hold.Member) bool {
	for i := range from {
		o := &from[i]
		if !o.Alive() {
			continue
		}
		at := slices.IndexFunc(to, func(n hold.Member) bool { return n.Name == o.Name })
		if at < 0 || to[at].Incarnation != o.Incarnation || to[at].State == hold.StateSilent ||
			to[at].State == hold.StateGone && o.State != hold.StateLeaving {
			return true
		}
	}
	return false
}

// calm is directory's.
func (k *keeper) calm() bool {
	if int64(k.store.Now()) < k.upsetUntil.Load() {
		return false
	}
	for _, o := range k.seen.Load().members {
		if !o.Alive() || o.Name == k.cfg.Name {
			continue
		}
		if link := k.links.Link(o.Name); link == nil || !link.Alive() {
			return false
		}
	}
	return true
}

// epoch is directory's.
func (k *keeper) epoch() uint64 { return k.epochs.Load() }
