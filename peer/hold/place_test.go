package hold

import "strconv"

// place is weighted rendezvous hashing.
func place(members []Member) func(slot Slot) int {
	owners := map[Slot]int{}
	return func(slot Slot) int {
		if at, ok := owners[slot]; ok {
			return at
		}
		best, at := uint64(0), -1
		for i := range members {
			// As many draws as it has weight: so often the best is one of its own.
			for draw := range members[i].Weight {
				if x := score(members[i].Name, slot, draw); at < 0 || x > best {
					best, at = x, i
				}
			}
		}
		owners[slot] = at
		return at
	}
}

// score hashes a name, a slot and the number of a draw: FNV-1a, and a finisher.
func score(name string, slot Slot, draw uint32) uint64 {
	x := uint64(14695981039346656037)
	var buf [32]byte
	for _, b := range append(strconv.AppendUint(append(append(buf[:0], name...), '/'), uint64(slot)<<8|uint64(draw), 10), 0) {
		x = (x ^ uint64(b)) * 1099511628211
	}
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	return x ^ x>>33
}
