package proto

// FrameOp says what a frame asks for, or answers.
type FrameOp uint8

// The opcodes of frames. Append only: they cross the wire. An operation on one
// key has the number of its Opcode; the multi form of it has FrameMulti added.
const (
	FrameGet    FrameOp = 1 // body_op.go
	FrameSet    FrameOp = 2
	FrameDelete FrameOp = 3
	FrameTouch  FrameOp = 4
	FrameMerge  FrameOp = 5

	FrameMultiGet    FrameOp = 17 // body_multi.go
	FrameMultiSet    FrameOp = 18
	FrameMultiDelete FrameOp = 19
	FrameMultiTouch  FrameOp = 20
	FrameMultiMerge  FrameOp = 21

	FrameHello   FrameOp = 32 // body_link.go
	FramePing    FrameOp = 33
	FrameGoodbye FrameOp = 34
	FrameMembers FrameOp = 35 // body_members.go
	FrameFlush   FrameOp = 36 // body_link.go
	// FrameStats goes only to nodes whose hello has FeatureStats.
	FrameStats FrameOp = 37 // body_stats.go

	FrameSlots FrameOp = 48 // body_slots.go

	// FrameMulti is what an operation's opcode and that of its multi form differ
	// by.
	FrameMulti FrameOp = 16
)

// frameRule is what is known of an opcode before its body is looked at. A traced
// request is longer by TraceLen.
type frameRule struct {
	name            string
	request, answer int  // the longest bodies
	oneWay          bool // there is no answer
	parts           bool // an answer may come in several frames
}

// The longest bodies of requests of short frames.
const (
	maxTagsLen  = 2 * tagLen * MaxTags
	maxKeyed    = requestLen + 8 + MaxCanonicalLen + maxTagsLen
	maxRedirect = redirectLen + MaxNameLen
)

var frameRules = [...]frameRule{
	FrameGet:    {name: "get", request: maxKeyed, answer: MaxBody},
	FrameSet:    {name: "set", request: MaxBody, answer: maxRedirect},
	FrameDelete: {name: "delete", request: maxKeyed, answer: maxRedirect},
	FrameTouch:  {name: "touch", request: maxKeyed, answer: maxRedirect},
	FrameMerge:  {name: "merge", request: MaxBody, answer: maxRedirect},

	FrameMultiGet:    {name: "multi_get", request: MaxBody, answer: MaxBody, parts: true},
	FrameMultiSet:    {name: "multi_set", request: MaxBody, answer: MaxBody, parts: true},
	FrameMultiDelete: {name: "multi_delete", request: MaxBody, answer: MaxBody, parts: true},
	FrameMultiTouch:  {name: "multi_touch", request: MaxBody, answer: MaxBody, parts: true},
	FrameMultiMerge:  {name: "multi_merge", request: MaxBody, answer: MaxBody, parts: true},

	FrameHello:   {name: "hello", request: MaxHello, answer: MaxHello},
	FramePing:    {name: "ping", request: pingLen, answer: pingLen},
	FrameGoodbye: {name: "goodbye", request: 1 + MaxGoodbyeText, oneWay: true},
	FrameMembers: {name: "members", request: MaxBody, answer: MaxBody},
	FrameFlush:   {name: "flush", request: flushLen, answer: flushLen},
	FrameStats:   {name: "stats", request: statsAskLen, answer: statsLen + MaxSamples*maxFigures*figureLen},

	FrameSlots: {name: "slots", request: MaxBody},
}

// rule gives what is known of op; of an unknown one, a rule without a name.
func (op FrameOp) rule() *frameRule {
	if int(op) < len(frameRules) {
		return &frameRules[op]
	}
	return &frameRules[0]
}

// String gives the opcode's name, as in documents and metrics.
func (op FrameOp) String() string {
	if name := op.rule().name; name != "" {
		return name
	}
	return "unknown"
}

// FrameOps lists the opcodes.
func FrameOps() (ops []FrameOp) {
	for op := range frameRules {
		if frameRules[op].name != "" {
			ops = append(ops, FrameOp(op))
		}
	}
	return ops
}

// Opcode gives the operation on keys that op carries out, whether it is the multi
// form, and false if op is another kind of frame.
func (op FrameOp) Opcode() (code Opcode, multi, ok bool) {
	switch {
	case op >= FrameGet && op <= FrameMerge:
		return Opcode(op), false, true
	case op >= FrameMultiGet && op <= FrameMultiMerge:
		return Opcode(op - FrameMulti), true, true
	}
	return 0, false, false
}

// FrameOpOf gives the opcode of the frame that carries operations of one kind.
func FrameOpOf(code Opcode, multi bool) FrameOp {
	if multi {
		return FrameOp(code) + FrameMulti
	}
	return FrameOp(code)
}
