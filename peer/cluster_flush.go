package peer

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/smache/smache/peer/hold"
	"github.com/smache/smache/proto"
)

// flushTime is how long a flush is repeated that others overtake.
const flushTime = 5 * time.Second

// Flush drops every entry of the cluster. It says how many of how many members
// have done so; those that do not answer do it when they are heard of again. It
// returns when that is settled.
func (c *Cluster) Flush() (applied, members int, err error) {
	k := c.keeper
	k.flushing.Lock()
	defer k.flushing.Unlock()
	number, pause := uint32(0), time.Millisecond
	for end := time.Now().Add(flushTime); time.Now().Before(end); pause *= 2 {
		var at uint32
		if !k.wait(func(now time.Duration) { at = k.m.Flush(now, number) }) {
			return 0, 0, fmt.Errorf("cluster: %w", ErrNotConnected)
		}
		var highest uint32
		if applied, members, highest = k.flushOthers(at); highest <= at {
			return applied, members, nil
		}
		number = highest
		<-time.After(pause + rand.N(pause)) // whoever overtook this one is to get done
	}
	return 0, members, errors.New("cluster: other flushes keep overtaking this one")
}

// flushOthers makes the other members carry flush number out. It gives how many
// have done so, this node included, how many there are, and the highest flush that
// one of them knows.
func (k *keeper) flushOthers(number uint32) (applied, members int, highest uint32) {
	body := proto.AppendFlush(nil, number)
	var wait sync.WaitGroup
	var done atomic.Int32
	var mu sync.Mutex
	for _, o := range k.seen.Load().members {
		if o.State == hold.StateGone {
			continue
		}
		members++
		if o.Name == k.cfg.Name {
			done.Add(1)
			continue
		}
		call := &Call{Header: proto.Header{Op: proto.FrameFlush, Epoch: k.epochs.Load()}, Timeout: flushWithin, Urgent: true}
		call.Done = func(call *Call) {
			defer wait.Done()
			if call.Err != nil || call.Answer.Status != proto.StatusOK {
				return
			}
			at, err := proto.DecodeFlushAnswer(call.Body)
			if err != nil {
				return
			}
			done.Add(1)
			mu.Lock()
			defer mu.Unlock()
			highest = max(highest, at)
		}
		wait.Add(1)
		if link := k.links.Link(o.Name); link == nil || link.Send(call, body) != nil {
			wait.Done()
		}
	}
	wait.Wait()
	return int(done.Load()), members, highest
}

// serveFlush carries out this node's part of another's flush.
func (k *keeper) serveFlush(r Request, reply Reply) {
	h := r.Header
	number, err := proto.DecodeFlush(r.Body)
	if err != nil {
		reply.Send(h.Answer(proto.StatusClosed, k.epochs.Load()))
		return
	}
	k.do(func(now time.Duration) {
		at := k.m.Flush(now, number)
		reply.Send(h.Answer(proto.StatusOK, k.epochs.Load()), proto.AppendFlushAnswer(nil, at))
	})
}
