package httpapi

import (
	"fmt"
	"runtime/debug"
	"sync/atomic"

	"github.com/valyala/fasthttp"

	"github.com/smache/smache/proto"
)

// A panic is a bug. In a handler it costs one request, in what carries requests one
// connection; the process goes on.

// panicked answers a request whose handler has panicked.
func (s *Server) panicked(ctx *fasthttp.RequestCtx, r *request, v any) {
	s.countPanic(&r.stats.panics, "httpapi: panic in a handler; the request is answered 500", v)
	if r.conn == nil {
		s.settle(&r.own)
	}
	ctx.Response.Reset()
	_ = s.guard.judge(ctx, r) // for its headers: a page of another origin may read this, too
	ctx.SetConnectionClose()
	s.fail(ctx, r, refusal{fail: proto.FailInternal})
}

// caught ends a panic of what serves c, which is closed. Deferred by whoever serves it.
func (s *Server) caught(c *conn) {
	if v := recover(); v != nil {
		s.dropInPanic(c, v)
	}
}

// dropInPanic counts a panic and closes its connection.
func (s *Server) dropInPanic(c *conn, v any) {
	s.countPanic(&s.shards[0].panics, "httpapi: panic at a connection, which is closed", v)
	defer func() {
		if recover() != nil { // the same again, from within Close
			if !c.closed.Swap(true) {
				c.registry.remove(c)
			}
			_ = c.Conn.Close()
		}
	}()
	c.lingers.Store(false)
	_ = c.Close()
}

// countPanic counts a panic, and logs it with its stack: the first, then one in
// noticePause while it goes on.
func (s *Server) countPanic(count *atomic.Uint64, message string, v any) {
	count.Add(1)
	last, now := s.lastPanic.Load(), s.registry.now()+1
	if last != 0 && now-last < int64(noticePause) || !s.lastPanic.CompareAndSwap(last, now) {
		return
	}
	s.config.Logger.Error(message, "panic", fmt.Sprint(v), "stack", string(debug.Stack()),
		"panics_so_far", s.sum(func(m *shard) *atomic.Uint64 { return &m.panics }))
}
