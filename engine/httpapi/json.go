package httpapi

import (
	"encoding/json"
	"errors"
	"unicode/utf8"

	gojson "github.com/goccy/go-json"

	"github.com/smache/smache/proto"
)

// checkJSON refuses what is not one JSON text (RFC 8259) in UTF-8. Behind it the
// scanners of this package may take the text for valid. It is the only use of
// go-json; a differential fuzz test holds its verdict to encoding/json's.
func checkJSON(body []byte) refusal {
	if validJSON(body) {
		if utf8.Valid(body) {
			return refusal{}
		}
		return refusal{fail: proto.FailUTF8, text: "the body is not valid UTF-8", at: firstInvalidUTF8(body) + 1}
	}
	return checkJSONSlow(body)
}

// validJSON is go-json's verdict. go-json copies what it checks into a pooled
// buffer, which it keeps: the few bodies above the large limit, which would
// leave copies beside the budget, go to encoding/json, slower but without one.
func validJSON(body []byte) bool {
	if len(body) > largeFrom {
		return json.Valid(body)
	}
	return gojson.Valid(body)
}

// checkJSONSlow finds where body stops being JSON. Positions count bytes from 1.
func checkJSONSlow(body []byte) refusal {
	if len(body) == 0 {
		return refusal{fail: proto.FailJSON, text: "the body is empty, not JSON"}
	}
	var raw json.RawMessage
	err := json.Unmarshal(body, &raw)
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return refusal{fail: proto.FailJSON, at: int(syntax.Offset)}
	}
	if err != nil {
		return refusal{fail: proto.FailJSON}
	}
	if !utf8.Valid(body) {
		return refusal{fail: proto.FailUTF8, text: "the body is not valid UTF-8", at: firstInvalidUTF8(body) + 1}
	}
	return refusal{}
}

// firstInvalidUTF8 gives the index of the first byte that is not part of valid
// UTF-8, or the length.
func firstInvalidUTF8(b []byte) int {
	i := 0
	for i < len(b) {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return i
}
