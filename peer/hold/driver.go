package hold

import "time"

// Driver carries out what a machine decides. Its methods must not call back.
type Driver interface {
	// Send sends m to a peer. It may be lost, late or doubled; a refused
	// connection comes back as Machine.Refused. m and what it points to are the
	// machine's again when Send returns. Of a grant the driver sets Clock, to that of
	// the slot, and Empty, if there are neither entries nor records.
	Send(to ID, m *Message)
	// Do carries out an operation that Machine.Do was given: all there is to know
	// of its key is here now.
	Do(op *Op)
	// Refuse gives back an operation that was not carried out: this node does not
	// serve the slot any more, or not at the moment.
	Refuse(op *Op)
	// Route says where operations on a slot go from now on: to this node itself,
	// another, which holds the slot under term, or of which that is only to be
	// expected, term 0; or, without a name, to nobody for the time being.
	Route(slot Slot, to ID, term uint32)
	// Serve says until when this node may answer from the slots that it holds, on
	// the clock of the events.
	Serve(until time.Duration)
	Store
}

// Store is what a machine asks of the store.
type Store interface {
	// Hold makes the store serve a slot under a term; if it is being imported,
	// only operations that come by Driver.Do. It may be put off, but must be done
	// before any later message leaves.
	Hold(slot Slot, term uint32, importing bool)
	// Release makes it stop: no write will be applied any more, and all that were
	// answered have been. It may be put off in the same way. The entries stay.
	Release(slot Slot)
	// Remember makes the store keep a record, of key and version, of every key of
	// the slot that is deleted, expires or is evicted (rule 5); or forget them. It
	// may be put off in the same way.
	Remember(slot Slot, on bool)
	// Knows reports whether there is an entry or a record of a key.
	Knows(slot Slot, key string) bool
	// Keys lists the keys of the entries of a slot, the newest first, then those
	// of the records.
	Keys(slot Slot) []string
	// Items gives the entries and records of keys, as many from the front as have
	// about limit bytes, but at least one key's; n is how many keys that are. Of
	// keys that are not there, nothing comes. They are good until the next call.
	Items(slot Slot, keys []string, limit int) (items []Entry, n int)
	// Merge takes in entries and records from elsewhere, each unless there is an
	// entry or a record of its key that is as new, and adopts their clocks. It
	// counts what became of the entries, each once.
	Merge(slot Slot, items []Entry) Merged
	// Remove drops the entries and the records of keys without a trace, and says how
	// many entries.
	Remove(slot Slot, keys []string) int
	// Drop drops all entries and records of a slot, and says how many entries.
	Drop(slot Slot) int
	// Floor is the highest version of a key of the slot that went and for which there
	// was no room to keep a record, zero for none.
	Floor(slot Slot) Version
	// Clock is a hybrid logical clock that this node has seen. Adopt makes all
	// later versions get higher clocks.
	Clock() uint64
	Adopt(clock uint64)
	// Flush drops all entries and records of all slots.
	Flush()
}

// Merged counts what became of entries from elsewhere.
type Merged struct {
	Applied int
	Older   int // what is here is as new, or newer
	Aged    int // memory is full of younger entries
	Failed  int // it does not fit, or is not what an entry can be
}
