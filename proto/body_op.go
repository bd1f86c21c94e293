package proto

import (
	"encoding/binary"
	"math"
	"time"
)

// The bodies of the operations on one key. A request:
//
//	offset size
//	 0      2   length of the key, canonical, 2 to 1,025
//	 2      1   conditions: 1 If-Match is given, 2 it is "*",
//	            4 If-None-Match is given, 8 it is "*"
//	 3      1   reserved, 0
//	 4      2   number of ETags of If-Match
//	 6      2   number of ETags of If-None-Match
//	 8      4   get: the longest value wanted, 0: any
//	 8      8   set, touch, merge: time to live, ns; 2^63-1: forever
//	16      8   merge: ETag, not 0
//	24      8   merge: version: hybrid logical clock
//	32      4   merge: version: term
//	36      4   merge: reserved, 0
//	40      8   merge: age, ns
//	 +      …   key
//	 +      …   ETags of If-Match, then those of If-None-Match, 8 each
//	 +      …   set, merge: value, up to the end
//
// The length of what is in front of the key is 12 for a get, 16 for set and
// touch, 8 for a delete, 48 for a merge, which takes no conditions.
//
// An answer is, by its status: a Meta (OK of set, touch and merge; not modified,
// of a get; stale, of a merge), a Meta and the value (OK of a get), the ETag of
// the entry that is there, 8 bytes, or nothing if there is none (precondition), a
// Redirect (moved, busy), and for all others, OK of a delete among them, nothing.
const (
	requestLen = 8

	condIfMatch      = 1
	condIfMatchAny   = 2
	condIfNoneMatch  = 4
	condIfNoneAny    = 8
	condKnown        = 15
	condIfNoneShift  = 2 // from the bits of If-Match to those of If-None-Match
	requestMergeRest = 40
)

var requestFixed = [...]int{
	OpGet: requestLen + 4, OpSet: requestLen + 8, OpDelete: requestLen,
	OpTouch: requestLen + 8, OpMerge: requestLen + requestMergeRest,
}

// Tags are ETags as they lie in a frame.
type Tags []byte

// Len is the number of ETags.
func (t Tags) Len() int { return len(t) / tagLen }

// At gives the ETag of that index.
func (t Tags) At(i int) ETag { return ETag(binary.LittleEndian.Uint64(t[i*tagLen:])) }

// AppendTo appends the ETags to dst.
func (t Tags) AppendTo(dst []ETag) []ETag {
	for i := range t.Len() {
		dst = append(dst, t.At(i))
	}
	return dst
}

// Condition is a Match as it lies in a frame.
type Condition struct {
	Set, Any bool
	Tags     Tags
}

// Request is a decoded request. Its slices point into the frame.
type Request struct {
	Key, Value           []byte
	TTL                  time.Duration // set, touch, merge
	Limit                uint32        // get
	IfMatch, IfNoneMatch Condition
	ETag                 ETag          // merge
	Version              Version       // merge
	Age                  time.Duration // merge
}

// Into sets op up for Submit, all but Code, Slot, Out and Done. op points to the
// frame's bytes afterwards. The conditions' ETags are appended to tags, which
// comes back grown, and which op points into.
func (r *Request) Into(op *Op, tags []ETag) []ETag {
	op.Key, op.Value, op.TTL, op.Limit = r.Key, r.Value, r.TTL, int(r.Limit)
	op.ETag, op.Version, op.Age = r.ETag, r.Version, r.Age
	start := len(tags)
	tags = r.IfMatch.Tags.AppendTo(tags)
	middle := len(tags)
	tags = r.IfNoneMatch.Tags.AppendTo(tags)
	op.IfMatch = Match{Set: r.IfMatch.Set, Any: r.IfMatch.Any, Tags: tags[start:middle:middle]}
	op.IfNoneMatch = Match{Set: r.IfNoneMatch.Set, Any: r.IfNoneMatch.Any, Tags: tags[middle:len(tags):len(tags)]}
	return tags
}

// CheckRequest says whether op can be sent: ErrBodyKey for a key that is not
// canonical, ErrBodyLimit for a value above MaxValueLen or more than MaxTags
// ETags in a condition, ErrBody for a time to live or an age that cannot be.
func CheckRequest(op *Op) error {
	switch {
	case op.Code < OpGet || op.Code > OpMerge:
		return ErrFrameOpcode
	case op.Code != OpGet && op.Code != OpDelete && !validTTL(op.TTL), op.Code == OpMerge && (op.ETag == 0 || op.Age < 0),
		op.Code == OpMerge && (op.IfMatch.Set || op.IfNoneMatch.Set):
		return ErrBody
	case len(op.Value) > MaxValueLen, len(op.IfMatch.Tags) > MaxTags, len(op.IfNoneMatch.Tags) > MaxTags:
		return ErrBodyLimit
	}
	return checkKey(op.Key)
}

// RequestLen gives the length of the body that AppendRequest writes.
func RequestLen(op *Op) int {
	_, a := condition(&op.IfMatch)
	_, b := condition(&op.IfNoneMatch)
	n := requestFixed[op.Code] + len(op.Key) + tagLen*(len(a)+len(b))
	if op.Code == OpSet || op.Code == OpMerge {
		n += len(op.Value)
	}
	return n
}

// AppendRequest appends the body of the request that op is. CheckRequest must
// have agreed.
func AppendRequest(dst []byte, op *Op) []byte {
	dst = AppendRequestHead(dst, op)
	if op.Code == OpSet || op.Code == OpMerge {
		dst = append(dst, op.Value...)
	}
	return dst
}

// AppendRequestHead appends the body of a request up to the value, for who sends
// the value as a piece of its own. Only OpSet and OpMerge have one.
func AppendRequestHead(dst []byte, op *Op) []byte {
	var ifMatch, ifNone uint64
	var ifTags, noneTags []ETag
	if op.Code != OpMerge {
		ifMatch, ifTags = condition(&op.IfMatch)
		ifNone, noneTags = condition(&op.IfNoneMatch)
	}
	dst = binary.LittleEndian.AppendUint64(dst, uint64(len(op.Key))|ifMatch<<16|ifNone<<(16+condIfNoneShift)|
		uint64(len(ifTags))<<32|uint64(len(noneTags))<<48)
	switch op.Code {
	case OpGet:
		dst = binary.LittleEndian.AppendUint32(dst, uint32(min(max(op.Limit, 0), math.MaxUint32)))
	case OpSet, OpTouch:
		dst = binary.LittleEndian.AppendUint64(dst, uint64(op.TTL))
	case OpMerge:
		dst = binary.LittleEndian.AppendUint64(dst, uint64(op.TTL))
		dst = binary.LittleEndian.AppendUint64(dst, uint64(op.ETag))
		dst = binary.LittleEndian.AppendUint64(dst, op.Version.Clock)
		dst = binary.LittleEndian.AppendUint64(dst, uint64(op.Version.Term))
		dst = binary.LittleEndian.AppendUint64(dst, uint64(op.Age))
	}
	dst = append(dst, op.Key...)
	for _, t := range ifTags {
		dst = binary.LittleEndian.AppendUint64(dst, uint64(t))
	}
	for _, t := range noneTags {
		dst = binary.LittleEndian.AppendUint64(dst, uint64(t))
	}
	return dst
}

// condition gives the bits of a condition, in the place of If-Match's, and the
// ETags to send: none beside "*".
func condition(m *Match) (bits uint64, tags []ETag) {
	switch {
	case !m.Set:
		return 0, nil
	case m.Any:
		return condIfMatch | condIfMatchAny, nil
	}
	return condIfMatch, m.Tags
}

// DecodeRequest reads the body of a request. The errors are ErrBody, ErrBodyKey,
// ErrBodyLimit and ErrFrameReserved.
func DecodeRequest(code Opcode, b []byte, r *Request) error {
	if code < OpGet || code > OpMerge {
		return ErrFrameOpcode
	}
	fixed := requestFixed[code]
	if len(b) < fixed {
		return ErrBody
	}
	word := binary.LittleEndian.Uint64(b)
	keyLen, bits := int(uint16(word)), uint8(word>>16)
	ifTags, noneTags := int(uint16(word>>32)), int(uint16(word>>48))
	if bits&^condKnown != 0 || uint8(word>>24) != 0 {
		return ErrFrameReserved
	}
	if ifTags > MaxTags || noneTags > MaxTags {
		return ErrBodyLimit
	}
	if word>>16 != 0 && (code == OpMerge || !validCondition(bits, ifTags) || !validCondition(bits>>condIfNoneShift, noneTags)) {
		return ErrBody
	}
	*r = Request{}
	if err := r.fixed(code, b); err != nil {
		return err
	}
	rest := b[fixed:]
	if len(rest) < keyLen+tagLen*(ifTags+noneTags) {
		return ErrBody
	}
	r.Key, rest = rest[:keyLen:keyLen], rest[keyLen:]
	if word>>16 != 0 {
		r.IfMatch = Condition{bits&condIfMatch != 0, bits&condIfMatchAny != 0, Tags(rest[:tagLen*ifTags])}
		rest = rest[tagLen*ifTags:]
		r.IfNoneMatch = Condition{bits&condIfNoneMatch != 0, bits&condIfNoneAny != 0, Tags(rest[:tagLen*noneTags])}
		rest = rest[tagLen*noneTags:]
	}
	if code == OpSet || code == OpMerge {
		if len(rest) > MaxValueLen {
			return ErrBodyLimit
		}
		r.Value = rest
	} else if len(rest) != 0 {
		return ErrBody
	}
	return checkKey(r.Key)
}

// fixed reads what an operation has of its own in front of the key.
func (r *Request) fixed(code Opcode, b []byte) error {
	switch code {
	case OpGet:
		r.Limit = binary.LittleEndian.Uint32(b[8:])
		return nil
	case OpDelete:
		return nil
	}
	r.TTL = time.Duration(binary.LittleEndian.Uint64(b[8:]))
	if code == OpMerge {
		r.ETag = ETag(binary.LittleEndian.Uint64(b[16:]))
		r.Version.Clock = binary.LittleEndian.Uint64(b[24:])
		term := binary.LittleEndian.Uint64(b[32:])
		r.Version.Term = uint32(term)
		r.Age = time.Duration(binary.LittleEndian.Uint64(b[40:]))
		if term>>32 != 0 {
			return ErrFrameReserved
		}
		if r.ETag == 0 || r.Age < 0 {
			return ErrBody
		}
	}
	if !validTTL(r.TTL) {
		return ErrBody
	}
	return nil
}

// validCondition judges the bits of a condition, in the place of If-Match's: "*"
// and ETags belong to a condition that is given, and exclude each other.
func validCondition(bits uint8, tags int) bool {
	switch bits & (condIfMatch | condIfMatchAny) {
	case 0, condIfMatch | condIfMatchAny:
		return tags == 0
	case condIfMatch:
		return true
	}
	return false
}

// Answer is the answer to an operation. What it holds beside the status depends
// on that; the rest is zero.
type Answer struct {
	Status Status
	// Meta is the entry's; of StatusPrecondition only its ETag, 0 for no entry.
	Meta Meta
	// Value is a get's.
	Value []byte
	// Redirect is that of StatusMoved and StatusBusy.
	Redirect Redirect
}

// AnswerOf gives the answer that a completed operation makes; value is what a get
// has appended to op.Out. Who answers StatusMoved or StatusBusy sets Redirect.
func AnswerOf(op *Op, value []byte) Answer {
	return Answer{
		Status: op.Status, Value: value,
		Meta: Meta{ETag: op.ETag, Version: op.Version, Remaining: op.Remaining, Age: op.Age},
	}
}

// Into completes op by the answer: the value is appended to op.Out. The caller
// sets op.Node.
func (a *Answer) Into(op *Op) {
	op.Status, op.ETag, op.Version = a.Status, a.Meta.ETag, a.Meta.Version
	op.Remaining, op.Age = a.Meta.Remaining, a.Meta.Age
	op.Out = append(op.Out, a.Value...)
}

// AppendAnswer appends the body of the answer to an operation of that code.
func AppendAnswer(dst []byte, code Opcode, a *Answer) []byte {
	switch answerForm(code, a.Status) {
	case formMeta:
		return AppendMeta(dst, &a.Meta)
	case formValue:
		return append(AppendMeta(dst, &a.Meta), a.Value...)
	case formETag:
		if a.Meta.ETag != 0 {
			dst = binary.LittleEndian.AppendUint64(dst, uint64(a.Meta.ETag))
		}
	case formRedirect:
		return AppendRedirect(dst, &a.Redirect)
	}
	return dst
}

// DecodeAnswer reads the body of the answer to an operation of that code. The
// errors are ErrBody, ErrBodyLimit, ErrFrameStatus and ErrFrameReserved.
func DecodeAnswer(code Opcode, status Status, b []byte, a *Answer) error {
	if code < OpGet || code > OpMerge {
		return ErrFrameOpcode
	}
	*a = Answer{Status: status}
	switch answerForm(code, status) {
	case formMeta:
		if err := decodeMeta(b, &a.Meta); err != nil {
			return err
		}
		return DecodeEmpty(b[MetaLen:])
	case formValue:
		if err := decodeMeta(b, &a.Meta); err != nil {
			return err
		}
		a.Value = b[MetaLen:]
		if len(a.Value) > MaxValueLen {
			return ErrBodyLimit
		}
		return nil
	case formETag:
		if len(b) == tagLen {
			a.Meta.ETag = ETag(binary.LittleEndian.Uint64(b))
		}
		if len(b) != 0 && a.Meta.ETag == 0 {
			return ErrBody
		}
		return nil
	case formRedirect:
		return DecodeRedirect(status, b, &a.Redirect)
	}
	if status > statusLast {
		return ErrFrameStatus
	}
	return DecodeEmpty(b)
}

// The forms of an answer's body.
const (
	formEmpty    = 0
	formMeta     = 1
	formValue    = 2
	formETag     = 3
	formRedirect = 4
)

// answerForm says what the body of an answer looks like.
func answerForm(code Opcode, status Status) int {
	switch status {
	case StatusOK:
		switch code {
		case OpGet:
			return formValue
		case OpDelete:
			return formEmpty
		}
		return formMeta
	case StatusNotModified, StatusStale:
		return formMeta
	case StatusPrecondition:
		return formETag
	case StatusMoved, StatusBusy:
		return formRedirect
	}
	return formEmpty
}
