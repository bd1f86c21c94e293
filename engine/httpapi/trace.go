package httpapi

import (
	"encoding/binary"
	"math/rand/v2"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/smache/smache/engine/internal/accesslog"
	"github.com/smache/smache/proto"
)

// trace finds out whether the request is part of a distributed trace, and whether it
// goes into the access log: if whoever began the trace records it, or else if it is one
// of the share. What is logged here is to be logged by the holder, too.
func (s *Server) trace(r *request) {
	if r.headers.given&givenTraceparent != 0 {
		if t, ok := parseTraceparent(r.header); ok {
			r.parent = t.Span
			binary.BigEndian.PutUint64(t.Span[:], rand.Uint64()|1) // no secret; never zero
			r.trace = t
			r.op.Trace = &r.trace
		}
	}
	if log := s.config.AccessLog; log != nil {
		r.logged = r.op.Trace != nil && r.trace.Flags&proto.TraceSampled != 0 || log.Wants()
		if r.logged && r.op.Trace != nil {
			r.trace.Flags |= proto.TraceSampled
		}
	}
}

// parseTraceparent reads the header of W3C Trace Context (section 3.2): version, trace
// id, parent id and flags, in lower-case hexadecimal. Of versions to come it takes what
// version 0 knows. What is not valid is as if it were not there, and so is a header
// that is given twice.
func parseTraceparent(b []byte) (t proto.Trace, ok bool) {
	const length = 2 + 1 + 32 + 1 + 16 + 1 + 2
	if len(b) < length || b[2] != '-' || b[35] != '-' || b[52] != '-' {
		return t, false
	}
	var version, flags [1]byte
	if !readHex(version[:], b) || !readHex(t.ID[:], b[3:]) || !readHex(t.Span[:], b[36:]) || !readHex(flags[:], b[53:]) {
		return t, false
	}
	switch {
	case version[0] == 0xff:
		return t, false
	case len(b) > length && (version[0] == 0 || b[length] != '-'):
		return t, false
	}
	t.Flags = flags[0] & proto.TraceFlags
	return t, t.Valid()
}

// readHex fills dst with the bytes that b begins with the digits of.
func readHex(dst, b []byte) bool {
	for i := range dst {
		high, low := hexDigit(b[2*i]), hexDigit(b[2*i+1])
		if high|low > 15 {
			return false
		}
		dst[i] = high<<4 | low
	}
	return true
}

// hexDigit gives the value of a lower-case digit, and more than 15 for anything else.
func hexDigit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	default:
		return 0xff
	}
}

// log writes the request's line of the access log.
func (s *Server) log(ctx *fasthttp.RequestCtx, r *request, nanos int64) {
	line := accesslog.Line{
		Message: "request", Route: routes[r.route].label, Status: ctx.Response.StatusCode(), Took: time.Duration(nanos),
		Received: max(ctx.Request.Header.ContentLength(), 0), Sent: len(ctx.Response.Body()),
		Items: r.items, Trace: r.trace, Parent: r.parent,
	}
	if r.failure != nil {
		line.Outcome = r.failure.Code
	}
	if r.op.Node != s.config.Node {
		line.Holder = r.op.Node
	}
	if r.conn != nil {
		line.Client = s.clientOf(r)
	}
	s.config.AccessLog.Add(&line)
}
