package httpapi

import (
	"bytes"
	"runtime/pprof"
	"runtime/trace"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/smache/smache/proto"
)

// The longest that a profile may be taken for, and how long it is where the request
// says nothing, both as go tool pprof has it.
const (
	maxProfile     = 5 * time.Minute
	defaultProfile = 30 * time.Second
)

var (
	typeBinary = []byte("application/octet-stream")

	refuseSeconds   = refusal{fail: proto.FailQuery, text: "seconds must be above 0 and at most 300"}
	refuseProfiling = refusal{fail: proto.FailOverloaded, text: "another profile is being taken"}
)

// profile answers GET /debug/pprof/…: Go's profiles, in the form and under the names
// that go tool pprof and go tool trace ask for. One is taken at a time. Unlike
// net/http/pprof it does not tell the command line, which may have secrets.
func (s *Server) profile(ctx *fasthttp.RequestCtx, r *request) {
	length := defaultProfile
	if text := ctx.QueryArgs().Peek("seconds"); len(text) > 0 {
		seconds, err := strconv.ParseFloat(string(text), 64)
		if err != nil || !(seconds > 0) || seconds > maxProfile.Seconds() {
			s.fail(ctx, r, refuseSeconds)
			return
		}
		length = time.Duration(seconds * float64(time.Second))
	}
	select {
	case s.profiling <- struct{}{}:
		defer func() { <-s.profiling }()
	default:
		s.fail(ctx, r, refuseProfiling)
		return
	}
	if r.conn != nil {
		r.conn.readBy.Store(0) // the request is here; what takes time is not its arrival
	}
	var text bytes.Buffer
	if err := takeProfile(&text, strings.TrimPrefix(string(ctx.Path()), "/debug/pprof/"), length, s.admin.closing); err != nil {
		s.fail(ctx, r, refusal{fail: proto.FailOverloaded, text: "the profile cannot be taken now: " + err.Error()})
		return
	}
	h := &ctx.Response.Header
	h.SetContentTypeBytes(typeBinary)
	h.SetCanonical(headerCacheControl, valueNoStore)
	s.setChargedBody(ctx, r, text.Bytes())
}

// takeProfile writes a profile to text. Those that take time take length, or less if
// stop is closed. The error is that somebody else in the process takes one.
func takeProfile(text *bytes.Buffer, name string, length time.Duration, stop <-chan struct{}) error {
	switch name {
	case "profile":
		if err := pprof.StartCPUProfile(text); err != nil {
			return err // the caller says what it is about
		}
		waitFor(length, stop)
		pprof.StopCPUProfile()
		return nil
	case "trace":
		if err := trace.Start(text); err != nil {
			return err // the same
		}
		waitFor(length, stop)
		trace.Stop()
		return nil
	default:
		return pprof.Lookup(name).WriteTo(text, 0) // the same
	}
}

func waitFor(length time.Duration, stop <-chan struct{}) {
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-stop:
	}
}
