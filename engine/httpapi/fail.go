package httpapi

import (
	"errors"
	"os"
	"strconv"

	"github.com/valyala/fasthttp"

	"github.com/smache/smache/proto"
)

// serverName is the value of the header Server.
const serverName = "smache"

// retryAfter is the pause, in seconds, after which a client may try again what
// was refused for want of room.
const retryAfter = "1"

// The names and values of headers, as bytes, in the form that is sent.
var (
	typeJSON    = []byte("application/json")
	typeMetrics = []byte("text/plain; version=0.0.4; charset=utf-8")

	headerAllow        = []byte("Allow")
	headerCacheControl = []byte("Cache-Control")
	headerRetryAfter   = []byte("Retry-After")
	headerETag         = []byte("ETag")
	headerTTL          = []byte("Smache-TTL")
	headerAge          = []byte("Smache-Age")
	headerCacheStatus  = []byte("Cache-Status")
	headerVary         = []byte("Vary")
	headerOrigin       = []byte("Origin")

	valueNoStore    = []byte("no-store")
	valueRevalidate = []byte("private, no-cache")
	valueRetryAfter = []byte(retryAfter)
	valueFwdMiss    = []byte("smache; fwd=miss")
)

var (
	refusePath   = refusal{fail: proto.FailPath}
	refuseMethod = refusal{fail: proto.FailMethod}
	refuseMiss   = refusal{fail: proto.FailMiss}
	refuseBudget = refusal{fail: proto.FailOverloaded}
)

func statusText(status int) string { return fasthttp.StatusMessage(status) }

// fail answers a request that is not carried out.
func (s *Server) fail(ctx *fasthttp.RequestCtx, r *request, why refusal) {
	s.countFailure(r.stats, why.fail)
	if r.logged {
		r.failure = why.fail
	}
	ctx.SetStatusCode(why.fail.HTTP)
	h := &ctx.Response.Header
	h.SetContentTypeBytes(typeJSON)
	h.SetCanonical(headerCacheControl, valueNoStore)
	switch why.fail.HTTP {
	case fasthttp.StatusServiceUnavailable, fasthttp.StatusTooManyRequests:
		if len(h.PeekBytes(headerRetryAfter)) == 0 { // limit knows better
			h.SetCanonical(headerRetryAfter, valueRetryAfter)
		}
	case fasthttp.StatusMethodNotAllowed:
		if len(h.PeekBytes(headerAllow)) == 0 { // the seed's answer for no key
			h.SetCanonical(headerAllow, []byte(s.allowOf(r.route)))
		}
	}
	if r.conn != nil && ctx.Request.IsBodyStream() {
		r.conn.lingers.Store(true) // in case it is closed with the body unread
	}
	setBody(ctx, appendFailure(bodyBuffer(ctx), &why))
}

// allowOf gives the methods of a route's path.
func (s *Server) allowOf(rt route) string {
	if rt >= routeMget && rt <= routeFlush {
		return allowBatch
	}
	return allowEntry
}

// appendFailure appends the body of an answer that tells of a failure.
func appendFailure(dst []byte, why *refusal) []byte {
	dst = append(dst, `{"message":`...)
	dst = appendMessage(dst, why)
	dst = append(dst, `,"code":"`...)
	dst = append(append(dst, why.fail.Code...), '"')
	if why.at > 0 {
		dst = append(dst, `,"position":`...)
		dst = strconv.AppendInt(dst, int64(why.at), 10)
	}
	return append(dst, '}')
}

// appendMessage appends the message as a JSON string. Messages are this
// program's own text: nothing of the request is repeated in them.
func appendMessage(dst []byte, why *refusal) []byte {
	if why.at == 0 {
		return appendQuotedString(dst, why.message())
	}
	dst = appendQuotedString(dst, why.message())
	dst = append(dst[:len(dst)-1], ", at byte "...)
	return append(strconv.AppendInt(dst, int64(why.at), 10), '"')
}

// failConnection answers what fasthttp could not read. It is fasthttp's
// ErrorHandler: the connection is closed behind the answer.
func (s *Server) failConnection(ctx *fasthttp.RequestCtx, err error) {
	r := s.acquire(connOf(ctx.Conn()))
	defer s.release(r)
	why := refuseRead(err)
	var small *fasthttp.ErrSmallBuffer
	if errors.As(err, &small) {
		why = refusal{fail: proto.FailHeaderLarge, text: "the request line and headers are above the limit of " +
			strconv.Itoa(s.config.MaxHeader) + " bytes; see --max-header"}
	}
	if errors.Is(err, errHeaderLines) {
		why = refusal{fail: proto.FailHeaderLarge, text: "the request has more than " + strconv.Itoa(maxHeaderLines) + " headers"}
	}
	if r.conn != nil {
		// What follows an unreadable header is not going to be read.
		r.conn.lingers.Store(why.fail != proto.FailTimeout)
	}
	s.fail(ctx, r, why)
	r.stats.requests[routeNone][statusPlace(why.fail.HTTP)].Add(1)
}

// refuseRead gives the refusal that an error of reading a request means.
func refuseRead(err error) refusal {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return refusal{fail: proto.FailTimeout}
	default:
		return refusal{fail: proto.FailRequest}
	}
}
