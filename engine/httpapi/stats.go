package httpapi

import (
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/smache/smache/proto"
)

// Stats is the answer of GET /stats.
type Stats struct {
	// Node, Epoch and Moving are those of Cluster.
	Node, Epoch string
	Moving      int
	Members     []MemberStats
}

// MemberStats is a member and how it has fared.
type MemberStats struct {
	// Member may be in the state silent too: it does not answer, and is counted
	// dead.
	Member
	// Why says in a word why there are no Samples of a node that has not told:
	// WhySilent, WhyNoAnswer or WhyNotKnown; else it is empty.
	Why string
	// Samples are in the order of time.
	Samples proto.Stats
}

// The reasons of MemberStats.Why.
const (
	WhySilent   = "silent"    // it is counted dead, and was not asked
	WhyNoAnswer = "no_answer" // it has not answered in time
	WhyNotKnown = "not_known" // its build does not know the question
)

// defaultSamples is how many samples GET /stats gives of each member unless it is
// asked for another number.
const defaultSamples = 60

var refuseQueryLast = refusal{fail: proto.FailQuery, text: "last takes a number of samples from 1 to " + strconv.Itoa(proto.MaxSamples)}

// stats answers GET /stats.
func (s *Server) stats(ctx *fasthttp.RequestCtx, r *request) {
	last := defaultSamples
	if ctx.QueryArgs().Has("last") {
		n, err := ctx.QueryArgs().GetUint("last")
		if err != nil || n < 1 || n > proto.MaxSamples {
			s.fail(ctx, r, refuseQueryLast)
			return
		}
		last = n
	}
	stats, ok := Stats{Node: s.config.Node, Epoch: "0", Members: []MemberStats{{
		Member: Member{Name: s.config.Node, State: "serving", Slots: proto.Slots, Version: s.config.Version},
	}}}, true
	if s.config.Stats != nil {
		stats, ok = s.config.Stats(last)
	}
	if !ok {
		s.fail(ctx, r, refuseStats)
		return
	}
	h := &ctx.Response.Header
	h.SetContentTypeBytes(typeJSON)
	h.SetCanonical(headerCacheControl, valueNoStore)
	s.setChargedBody(ctx, r, squeezed(ctx, appendStats(bodyBuffer(ctx), &stats)))
}

var refuseStats = refusal{fail: proto.FailOverloaded, text: "others are being shown how the cluster fares"}

func appendStats(dst []byte, s *Stats) []byte {
	dst = appendQuotedString(append(dst, `{"node":`...), s.Node)
	dst = appendQuotedString(append(dst, `,"epoch":`...), s.Epoch)
	dst = strconv.AppendInt(append(dst, `,"moving":`...), int64(s.Moving), 10)
	dst = append(dst, `,"latency_bounds":[`...)
	for i, bound := range proto.LatencyBounds() {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendFloat(dst, float64(bound)/1e9, 'f', -1, 64)
	}
	dst = append(dst, `],"members":[`...)
	for i := range s.Members {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendMemberStats(dst, &s.Members[i])
	}
	return append(dst, `]}`...)
}

func appendMemberStats(dst []byte, m *MemberStats) []byte {
	dst = appendMember(dst, &m.Member)
	dst = dst[:len(dst)-1] // to go on within the object
	if m.Why != "" {
		dst = appendQuotedString(append(dst, `,"error":`...), m.Why)
		return append(dst, '}')
	}
	dst = append(dst, `,"run":"`...)
	dst = appendETag(dst, proto.ETag(m.Samples.Run))
	dst = strconv.AppendFloat(append(dst, `","age":`...), float64(m.Samples.Age/time.Millisecond)/1000, 'f', -1, 64)
	dst = append(dst, `,"samples":{`...)
	for f := range proto.FigureLatency {
		dst = append(append(append(dst, '"'), f.String()...), `":[`...)
		for i := range m.Samples.Count() {
			dst = append(strconv.AppendUint(dst, m.Samples.Figure(i, f), 10), ',')
		}
		dst = append(closed(dst), ',')
	}
	dst = append(dst, `"latency":[`...)
	for i := range m.Samples.Count() {
		dst = append(dst, '[')
		for class := range proto.LatencyCount {
			dst = append(strconv.AppendUint(dst, m.Samples.Figure(i, proto.FigureLatency+proto.Figure(class)), 10), ',')
		}
		dst = append(closed(dst), ',')
	}
	return append(closed(dst), `}}`...)
}

// closed ends a list, and takes the comma behind its last item away.
func closed(dst []byte) []byte {
	if dst[len(dst)-1] == ',' {
		dst = dst[:len(dst)-1]
	}
	return append(dst, ']')
}
