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
	refuseAnswerLarge = refusal{fail: proto.FailAnswerLarge}
)

// refuseTooLarge says that something of size n is above limit.
func refuseTooLarge(fail *proto.Failure, what string, n, limit int) refusal {
	flags := map[*proto.Failure]string{
		proto.FailValueTooLarge: "--max-value",
		proto.FailBodyTooLarge:  "--max-body",
		proto.FailBatchTooLarge: "--max-batch",
	}
	if n <= limit { // it has no known size
		return refusal{fail: fail, text: fmt.Sprintf("%s is above the limit of %d; see %s", what, limit, flags[fail])}
	}
	return refusal{fail: fail, text: fmt.Sprintf("%s is %d, above the limit of %d; see %s", what, n, limit, flags[fail])}
}

// refuseStatus gives the refusal that a status of an operation means, or none.
func refuseStatus(s proto.Status) refusal { return refusal{fail: proto.FailureOf(s)} }
