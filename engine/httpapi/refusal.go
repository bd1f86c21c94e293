package httpapi

import (
	"fmt"

	"github.com/smache/smache/proto"
)

// refusal says why a request, or one item of a batch, is not carried out. The
// zero refusal says that it is.
type refusal struct {
	// fail is the row of the failure table.
	fail *proto.Failure
	// text is the message; empty for the row's own.
	text string
	// at is the position in the body that the message is about, counting bytes
	// from 1; 0 for none.
	at int
}

// refused reports whether there is something to refuse.
func (r *refusal) refused() bool { return r.fail != nil }

// message gives the text for the client, without the position.
func (r *refusal) message() string {
	if r.text != "" {
		return r.text
	}
	return r.fail.Text
}

// The refusals that have no more to say than where they come from.
var (
	refuseNotObject   = refusal{fail: proto.FailBody, text: "the body must be a JSON object"}
	refuseData        = refusal{fail: proto.FailBody, text: "data must be an object"}
	refuseKeyTwice    = refusal{fail: proto.FailBody, text: "key is given twice"}
	refuseDataTwice   = refusal{fail: proto.FailBody, text: "data is given twice"}
	refuseTTLTwice    = refusal{fail: proto.FailBody, text: "ttl is given twice"}
	refuseCondTwice   = refusal{fail: proto.FailBody, text: "if_match or if_none_match is given twice"}
	refuseItemsTwice  = refusal{fail: proto.FailBody, text: "the list of items is given twice"}
	refuseEntry       = refusal{fail: proto.FailBody, text: "an entry must be an object"}
	refuseSurrogate   = refusal{fail: proto.FailUTF8, text: "key holds half of a surrogate pair"}
	refuseTTL         = refusal{fail: proto.FailTTL}
	refuseCondition   = refusal{fail: proto.FailCondition}
	refuseJSONCond    = refusal{fail: proto.FailCondition, text: `if_match and if_none_match take "*", an ETag or a list of ETags`}
	refuseManyCond    = refusal{fail: proto.FailCondition, text: "If-Match and If-None-Match are for one entry; mset has if_match and if_none_match for each"}
	refuseAnswerLarge = refusal{fail: proto.FailAnswerLarge}
)

// refuseTooLarge says that something of size n, which is 0 if it is not known, is
// above limit.
func refuseTooLarge(fail *proto.Failure, n, limit int) refusal {
	var what, unit, flag string
	switch fail {
	case proto.FailValueTooLarge:
		what, unit, flag = "data", "bytes", "--max-value"
	case proto.FailBodyTooLarge:
		what, unit, flag = "the body", "bytes", "--max-body"
	case proto.FailBatchTooLarge:
		what, unit, flag = "the batch", "items", "--max-batch"
	default:
		panic("BUG: httpapi: " + fail.Code + " has no limit")
	}
	if n > 0 {
		what = fmt.Sprintf("%s has %d %s,", what, n, unit)
	} else {
		what += " is"
	}
	return refusal{fail: fail, text: fmt.Sprintf("%s above the limit of %d %s; see %s", what, limit, unit, flag)}
}

// refuseStatus gives the refusal that a status of an operation means, or none.
func refuseStatus(s proto.Status) refusal { return refusal{fail: proto.FailureOf(s)} }
