package hold

import "time"

// Driver carries out what a machine decides. Its methods must not call back.
type Driver interface {
	// Send sends m to a peer. It may be lost, late or doubled; a refused
	// connection comes back as Machine.Refused. m and what it points to are the
	// machine's again when Send returns.
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
	// only operations that come by Driver.Do.
	Hold(slot Slot, term uint32, importing bool)
	// Release makes it stop. When it returns, no write will be applied any more,
	// and all that were answered have been. The entries stay.
	Release(slot Slot)
	// Remember makes the store keep a record, of key and version, of every key of
	// the slot that is deleted, expires or is evicted (rule 5); or forget them.
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
	// Merge takes in an entry or a record from elsewhere, unless there is an entry
	// or a record of that key that is as new, and adopts its clock.
	Merge(slot Slot, e *Entry) Merged
	// Remove drops the entry and the record of a key without a trace.
	Remove(slot Slot, key string)
	// Drop drops all entries and records of a slot, and says how many entries.
	Drop(slot Slot) int
	// Empty reports whether a slot has neither entries nor records.
	Empty(slot Slot) bool
	// Floor is the highest term of a key of the slot that went and for which there
	// was no room to keep a record, 0 for none.
	Floor(slot Slot) uint32
	// Clock is the hybrid logical clock of a slot. Adopt makes all later versions
	// get higher clocks.
	Clock(slot Slot) uint64
	Adopt(clock uint64)
	// Flush drops all entries and records of all slots.
	Flush()
}

// Merged is what became of an entry from elsewhere.
type Merged uint8

const (
	MergeApplied Merged = 0
	MergeOlder   Merged = 1 // what is here is as new, or newer
	MergeTooOld  Merged = 2 // the memory is full of younger entries
	MergeFailed  Merged = 3 // it does not fit, or is not what an entry can be
)
