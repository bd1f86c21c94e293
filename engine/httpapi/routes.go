package httpapi

import "github.com/valyala/fasthttp"

// route is one operation of the API: its place in routes, and in the counters.
type route uint8

const (
	routeNone    route = 0 // nothing at this path, or the request did not get that far
	routeGet     route = 1
	routePost    route = 2
	routeDelete  route = 3
	routeMget    route = 4
	routeMset    route = 5
	routeMdel    route = 6
	routeTouch   route = 7
	routeFlush   route = 8
	routeRoot    route = 9
	routeHealth  route = 10
	routeLive    route = 11
	routeReady   route = 12
	routeCluster route = 13
	routeMetrics route = 14
	routeOpenAPI route = 15
	routeOptions route = 16 // OPTIONS at any path
	routeStats   route = 17
	routeUI      route = 18
	routeProfile route = 19
	routeCount   route = 20
)

// The values of Allow.
const (
	allowEntry = "GET, HEAD, POST, DELETE, OPTIONS"
	allowBatch = "POST, OPTIONS"
	allowRead  = "GET, HEAD, OPTIONS"
)

// routes describes each route: its label in metrics, the paths and methods that
// lead to it, and what it does. Server.dispatch holds the same as code; a test
// compares the two.
var routes = [routeCount]struct {
	label   string
	methods string // between spaces
	paths   []string
	access  access // what it needs the right to, where tokens are set
	admin   bool   // see Server.offers
}{
	routeNone:    {label: "other", access: accessRead},
	routeGet:     {label: "get", methods: "GET HEAD", paths: []string{"/api", "/api/"}, access: accessRead},
	routePost:    {label: "post", methods: "POST", paths: []string{"/api", "/api/"}},
	routeDelete:  {label: "delete", methods: "DELETE", paths: []string{"/api", "/api/"}},
	routeMget:    {label: "mget", methods: "POST", paths: []string{"/api/mget"}, access: accessRead},
	routeMset:    {label: "mset", methods: "POST", paths: []string{"/api/mset"}},
	routeMdel:    {label: "mdel", methods: "POST", paths: []string{"/api/mdel"}},
	routeTouch:   {label: "touch", methods: "POST", paths: []string{"/api/touch"}},
	routeFlush:   {label: "flush", methods: "POST", paths: []string{"/api/flush"}},
	routeRoot:    {label: "root", methods: "GET HEAD", paths: []string{"/"}, access: accessRead},
	routeHealth:  {label: "healthcheck", methods: "GET HEAD", paths: []string{"/healthcheck"}, access: accessOpen},
	routeLive:    {label: "livez", methods: "GET HEAD", paths: []string{"/livez"}, access: accessOpen},
	routeReady:   {label: "readyz", methods: "GET HEAD", paths: []string{"/readyz"}, access: accessOpen},
	routeCluster: {label: "cluster", methods: "GET HEAD", paths: []string{"/cluster"}, access: accessRead, admin: true},
	routeMetrics: {label: "metrics", methods: "GET HEAD", paths: []string{"/metrics"}, access: accessRead, admin: true},
	routeOpenAPI: {label: "openapi", methods: "GET HEAD", paths: []string{"/openapi.json"}, access: accessRead},
	routeOptions: {label: "options", access: accessOpen},
	routeUI:      {label: "ui", methods: "GET HEAD", paths: []string{"/ui"}, access: accessOpen, admin: true},
	routeStats:   {label: "stats", methods: "GET HEAD", paths: []string{"/stats"}, access: accessRead, admin: true},
	routeProfile: {label: "profile", methods: "GET HEAD", paths: []string{
		"/debug/pprof/profile", "/debug/pprof/heap", "/debug/pprof/goroutine", "/debug/pprof/trace",
	}, admin: true},
}

// dispatch carries a request out. The two requests that matter for speed come
// first.
func (s *Server) dispatch(ctx *fasthttp.RequestCtx, r *request) {
	path, method := ctx.Path(), ctx.Method()
	if string(path) == "/api" || string(path) == "/api/" {
		switch string(method) {
		case fasthttp.MethodGet, fasthttp.MethodHead:
			r.route = routeGet
			s.get(ctx, r)
		case fasthttp.MethodPost:
			r.route = routePost
			s.post(ctx, r)
		case fasthttp.MethodDelete:
			r.route = routeDelete
			s.del(ctx, r)
		default:
			s.otherMethod(ctx, r, allowEntry)
		}
		return
	}
	rt, allow := s.routeOf(r, path)
	if rt == routeNone {
		s.fail(ctx, r, refusePath)
		return
	}
	isRead := string(method) == fasthttp.MethodGet || string(method) == fasthttp.MethodHead
	isPost := string(method) == fasthttp.MethodPost
	if allow == allowRead && !isRead || allow == allowBatch && !isPost {
		s.otherMethod(ctx, r, allow)
		return
	}
	r.route = rt
	switch rt {
	case routeMget:
		s.mget(ctx, r)
	case routeMset, routeMdel, routeTouch:
		s.writeBatch(ctx, r)
	case routeFlush:
		s.flush(ctx, r)
	case routeRoot, routeHealth, routeLive:
		s.empty(ctx)
	case routeReady:
		s.ready(ctx, r)
	case routeCluster:
		s.clusterStatus(ctx, r)
	case routeMetrics:
		s.metrics(ctx, r)
	case routeOpenAPI:
		s.openAPI(ctx)
	case routeStats:
		s.stats(ctx, r)
	case routeUI:
		s.ui(ctx, r)
	case routeProfile:
		s.profile(ctx, r)
	default:
		panic("BUG: httpapi: a route without a handler")
	}
}

// routeAt gives the route at a path other than /api, and the methods that it
// takes.
func routeAt(path []byte) (rt route, allow string) {
	switch string(path) {
	case "/":
		return routeRoot, allowRead
	case "/healthcheck":
		return routeHealth, allowRead
	case "/livez":
		return routeLive, allowRead
	case "/readyz":
		return routeReady, allowRead
	case "/cluster":
		return routeCluster, allowRead
	case "/metrics":
		return routeMetrics, allowRead
	case "/stats":
		return routeStats, allowRead
	case "/ui":
		return routeUI, allowRead
	case "/debug/pprof/profile", "/debug/pprof/heap", "/debug/pprof/goroutine", "/debug/pprof/trace":
		return routeProfile, allowRead
	case "/openapi.json":
		return routeOpenAPI, allowRead
	case "/api/mget":
		return routeMget, allowBatch
	case "/api/mset":
		return routeMset, allowBatch
	case "/api/mdel":
		return routeMdel, allowBatch
	case "/api/touch":
		return routeTouch, allowBatch
	case "/api/flush":
		return routeFlush, allowBatch
	default:
		return routeNone, ""
	}
}

// otherMethod answers a method that the path does not take: OPTIONS is told
// what it takes, any other is refused.
func (s *Server) otherMethod(ctx *fasthttp.RequestCtx, r *request, allow string) {
	h := &ctx.Response.Header
	h.SetCanonical(headerAllow, []byte(allow))
	if ctx.IsOptions() {
		r.route = routeOptions
		s.preflight(ctx)
		ctx.SetStatusCode(fasthttp.StatusNoContent)
		return
	}
	s.fail(ctx, r, refuseMethod)
}
