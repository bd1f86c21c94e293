package bench

// updatesPerRegion is how many updates a thing has before it is in the next region: with
// one a second, a vehicle at 40 km/h in regions of 1.1 km.
const updatesPerRegion = 100

// regions say which of many moving things are where. There are as many regions as things
// fill, each of the same number of lanes with one thing each, side by side in a ring. The
// things of a lane move on together, to the next region, or in every second lane to the one
// before; the lanes take turns, so that at any time one thing in updatesPerRegion is on its
// way. Where a thing is follows from the number of updates alone.
type regions struct {
	things, lanes uint64
}

func (g *regions) count() uint64 { return (g.things + g.lanes - 1) / g.lanes }

// A glimpse is the regions at one moment, and one of them.
type glimpse struct {
	region, count, lanes uint64
	moves                uint64 // of the lanes that move last in a turn, around the ring
	moved                uint64 // the lanes before this one have moved once more
}

// at is a region after a number of updates, wrapping around their count.
func (g *regions) at(updates, region uint64) glimpse {
	count := g.count()
	turn := g.things * updatesPerRegion // in which each lane moves once
	return glimpse{
		region: region % count, count: count, lanes: g.lanes,
		moves: updates / turn % count, moved: updates % turn / max(turn/g.lanes, 1),
	}
}

// thing is the number of the thing in a lane.
func (v *glimpse) thing(lane uint64) uint64 {
	moves := v.moves
	if lane < v.moved {
		moves++
	}
	if lane%2 == 0 {
		moves = v.count - moves // it came from behind
	}
	return (v.region+moves)%v.count*v.lanes + lane
}
