package peer

import (
	"sync/atomic"
	"time"

	"github.com/smache/smache/peer/hold"
	"github.com/smache/smache/proto"
)

// outbox gathers what the machine says to one peer in one go.
type outbox struct {
	k     *keeper
	name  string
	away  atomic.Int64 // bytes of frames that were not answered yet
	head  proto.SlotsHead
	epoch uint64
	w     proto.SlotsWriter
	buf   []byte
	open  bool
}

// mailTo names an outbox: each peer has one for what is urgent.
type mailTo struct {
	name   string
	urgent bool
}

// mailFrame is the length from which a frame is sent at once. An entry may make it
// longer.
const mailFrame = 256 << 10

// maxAway bounds what a peer has not taken note of yet. Beyond it messages are
// dropped, and repeated by the machine's clock: a peer that is slow must not be
// given more to do the slower it is.
const maxAway = 4 << 20

// machineCall is a frame to a peer, whose answer says nothing but that it was
// taken note of.
type machineCall struct {
	Call
	box  *outbox
	size int64
}

// mailWithin is how long a frame's answer may take; nobody waits for it, but it
// keeps one of the link's credits.
const mailWithin = 5 * time.Second

func (k *keeper) newCall() any {
	c := &machineCall{}
	c.Done = func(*Call) {
		c.box.away.Add(-c.size)
		k.calls.Put(c)
	}
	return c
}

// grant is a message that waits until its slot is released.
type grant struct {
	to hold.ID
	m  hold.Message
}

// Send is hold.Driver's.
func (k *keeper) Send(to hold.ID, m *hold.Message) {
	if m.Kind == hold.MsgGrant {
		k.grants = append(k.grants, grant{to, *m})
		return
	}
	k.mailOut(to, m)
}

// mailOut puts a message into the outbox of a peer.
func (k *keeper) mailOut(to hold.ID, m *hold.Message) {
	link := k.links.Link(to.Name)
	if link == nil || !link.Connected() {
		k.unsent.Add(1)
		return
	}
	at := mailTo{to.Name, isUrgent(m.Kind)}
	o := k.mail[at]
	if o == nil {
		o = &outbox{k: k, name: to.Name}
		k.mail[at] = o
	}
	if m.Kind == hold.MsgMembers {
		o.flush()
		o.sendFrame(proto.FrameMembers, m.Epoch, k.membersFrame())
		return
	}
	beat := isBeat(m.Kind)
	if !beat && o.away.Load() > maxAway {
		k.unsent.Add(1)
		return
	}
	if beat && m.Found && !link.Has(proto.FeatureHeld) {
		without := *m
		without.Found, m = false, &without
	}
	head := proto.SlotsHead{
		Incarnation: m.From.Incarnation, Terms: m.Terms, Flushes: m.Flushes,
		Weight: m.From.Weight, State: proto.MemberState(m.From.State), To: to.Incarnation,
	}
	// A frame speaks for one moment of its sender, but for the terms: that it knew
	// of more of them by its end harms nobody.
	if o.open && (beat || m.Epoch != o.epoch || head.Incarnation != o.head.Incarnation || head.State != o.head.State ||
		head.Flushes != o.head.Flushes || head.To != o.head.To || o.w.Count() == proto.MaxSlotMessages) {
		o.flush()
	}
	if !o.open {
		o.buf = o.w.Begin(o.buf[:0], &head)
		o.head, o.epoch, o.open = head, m.Epoch, true
	}
	if head.Terms > o.head.Terms {
		o.head.Terms = head.Terms
		o.w.SetTerms(o.buf, head.Terms)
	}
	o.append(m)
	if beat || o.w.Len(o.buf) >= mailFrame { // a ping travels alone, and first
		o.flush()
	}
}

// append appends a message to the frame.
func (o *outbox) append(m *hold.Message) {
	msg := proto.SlotMessage{
		Kind: proto.SlotKind(m.Kind), Done: m.Done, Empty: m.Empty, Found: m.Found, Slot: m.Slot, Term: m.Term,
		Elder: m.Elder, Below: m.Below, Seq: m.Seq, Clock: m.Clock, Time: uint64(m.Time), Age: uint64(m.Age),
		Node: []byte(m.Node.Name), Incarnation: m.Node.Incarnation, Key: []byte(m.Key),
	}
	start := len(o.buf)
	o.buf = o.w.Append(o.buf, &msg)
	for _, s := range m.Sources[:min(len(m.Sources), proto.MaxSources)] {
		o.buf = o.w.Source(o.buf, &proto.SlotSource{
			Node: []byte(s.Name), Incarnation: s.Incarnation, Since: s.Since, Elder: s.Elder, Below: s.Below,
		})
	}
	for i := range m.Items {
		o.buf = o.w.Entry(o.buf, &m.Items[i])
	}
	if len(o.buf) > proto.MaxBody && start > 0 && o.w.Count() > 1 {
		// It alone is too much for what is left of the frame.
		o.buf = o.w.Undo(o.buf)
		o.flush()
		o.buf = o.w.Begin(o.buf[:0], &o.head)
		o.open = true
		o.append(m)
	}
}

// flush sends the frame, once the roles of slots are what it says.
func (o *outbox) flush() {
	if !o.open {
		return
	}
	o.k.settleRoles()
	if !o.open { // a grant has filled it
		return
	}
	o.open = false
	o.sendFrame(proto.FrameSlots, o.epoch, o.w.End(o.buf))
	if cap(o.buf) > 2*mailFrame {
		o.buf = nil
	}
}

func (o *outbox) sendFrame(op proto.FrameOp, epoch uint64, body []byte) {
	c := o.k.calls.Get().(*machineCall) // nothing else is put there
	c.Header = proto.Header{Op: op, Epoch: epoch}
	c.Timeout, c.Urgent = mailWithin, true
	c.box, c.size = o, int64(len(body))
	o.away.Add(c.size)
	link := o.k.links.Link(o.name)
	if link == nil || link.Send(&c.Call, body) != nil {
		o.k.unsent.Add(1)
		c.Done(&c.Call)
	}
}

// sendMail sends what has gathered.
func (k *keeper) sendMail() {
	for at, o := range k.mail {
		o.flush()
		if link := k.links.Link(at.name); link == nil || !link.Connected() {
			delete(k.mail, at)
		}
	}
}

// sendUrgent sends what is urgent ahead of the rest, once the roles of slots are what
// it says: the end of a long line of events is not waited for.
func (k *keeper) sendUrgent() {
	k.settleRoles()
	for at, o := range k.mail {
		if at.urgent {
			o.flush()
		}
	}
}

// membersFrame gives the body of a members frame, as of now.
func (k *keeper) membersFrame() []byte {
	k.publish()
	return k.seen.Load().frame
}

// receiveSlots gives a frame's messages to the machine.
func (k *keeper) receiveSlots(now time.Duration, e *event) {
	var head proto.SlotsHead
	list, err := proto.DecodeSlots(e.body, &head)
	if err != nil {
		k.bad.Add(1)
		k.log.Warn("cluster: a frame could not be read", "peer", e.from.Name(), "error", err)
		return
	}
	from := hold.Member{
		ID:    hold.ID{Name: e.from.Name(), Incarnation: head.Incarnation},
		State: hold.State(head.State), Weight: head.Weight,
	}
	var msg proto.SlotMessage
	for list.Next(&msg) {
		m := hold.Message{
			Kind: hold.Kind(msg.Kind), Epoch: e.header.Epoch, Terms: head.Terms, Flushes: head.Flushes, From: from,
			To:   hold.ID{Name: k.cfg.Name, Incarnation: head.To},
			Slot: msg.Slot, Term: msg.Term, Elder: msg.Elder, Below: msg.Below, Clock: msg.Clock, Time: time.Duration(msg.Time), Age: time.Duration(msg.Age),
			Node: hold.ID{Name: string(msg.Node), Incarnation: msg.Incarnation},
			Seq:  msg.Seq, Key: string(msg.Key), Found: msg.Found, Done: msg.Done, Empty: msg.Empty,
		}
		var source proto.SlotSource
		for msg.Sources.Next(&source) {
			m.Sources = append(m.Sources, hold.Source{
				ID: hold.ID{Name: string(source.Node), Incarnation: source.Incarnation}, Since: source.Since, Elder: source.Elder,
				Below: source.Below,
			})
		}
		k.received = k.received[:0]
		var entry proto.Entry
		for msg.Entries.Next(&entry) {
			k.received = append(k.received, entry)
		}
		m.Items = k.received
		if m.Kind == hold.MsgFetched && m.Found && len(m.Items) == 0 {
			continue
		}
		if m.Kind == hold.MsgPing && !e.from.Has(proto.FeatureHeld) {
			m.Found = true // it cannot say, and is taken at its best
		}
		k.m.Receive(now, &m)
		if len(m.Items) > 0 {
			k.giveWay()
		}
	}
	k.tellMembers(now, cause{by: from.Name})
}

// receiveMembers gives another node's member list to the machine, and learns from
// it where nodes are.
func (k *keeper) receiveMembers(now time.Duration, e *event) {
	list, err := proto.DecodeMembers(e.body)
	if err != nil {
		k.bad.Add(1)
		k.log.Warn("cluster: a member list could not be read", "peer", e.from.Name(), "error", err)
		return
	}
	m := hold.Message{Kind: hold.MsgMembers, Epoch: e.header.Epoch}
	var o proto.Member
	for list.Next(&o) {
		row := hold.Member{
			ID:    hold.ID{Name: string(o.Name), Incarnation: o.Incarnation},
			State: hold.State(o.State), Weight: o.Weight,
		}
		m.Members = append(m.Members, row)
		if row.Name == e.from.Name() {
			m.From = row
		}
		if row.Alive() {
			k.learn(row.Name, contact{
				incarnation: o.Incarnation, peer: string(o.Peer), gossip: string(o.Gossip), http: string(o.HTTP), version: string(o.Version),
			})
		}
	}
	if m.From.Name != "" {
		k.m.Receive(now, &m)
		k.tellMembers(now, cause{by: m.From.Name})
	}
}

// Do is hold.Driver's.
func (k *keeper) Do(o *hold.Op) {
	op := o.Ref.(*proto.Op) // importing put it there
	op.Importing = true
	if k.store.Submit(op) {
		op.Done(op)
	}
}

// Refuse is hold.Driver's.
func (k *keeper) Refuse(o *hold.Op) {
	op := o.Ref.(*proto.Op) // importing put it there
	op.Status = proto.StatusBusy
	op.Done(op)
}

// Serve is hold.Driver's.
func (k *keeper) Serve(until time.Duration) { k.store.ServeUntil(until) }
