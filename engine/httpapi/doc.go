// Package httpapi is the public API of Smache: JSON over HTTP, as the seed's
// clients speak it, and what was added since. It is the only code that knows
// HTTP or JSON.
//
// It owns the listener's connections, the reading and checking of requests, and
// the writing of answers. It refuses what is not in the API's tables, each time
// with a row of proto's failure table. It stores nothing: every operation goes
// to a Cache, and the bytes of a value are given back as they came, less
// insignificant white space.
//
// # The life of a request
//
// A connection is admitted by listener.go and wrapped by conn.go, which keeps
// its deadlines, what it counts and what it owes to the budgets. On Linux an event
// loop has it (package loop), and worker_linux.go reads requests that came whole, for
// one key, with fasthttp's parser. Any other request, and whatever is odd about one,
// takes its connection off the loop for as long as it lasts (transport_linux.go):
// fasthttp's server reads it in a goroutine. So do all connections with TLS, and
// elsewhere all. Either way Server.perform (server.go) carries it out: guard.go judges
// where it comes from, routes.go compares its path, and get.go, post.go (which deletes, too) or
// batch.go with mget.go and mset.go carry it out: the key is made canonical, one
// proto.Op is submitted and awaited, and the answer is appended straight to the
// response's body buffer. What is refused goes through fail.go.
//
// A body is checked by json.go and taken apart by scan.go and envelope.go, which
// find where its parts begin and end; nothing is decoded but keys with escapes.
//
// The address for administration, if there is one, has connections and a fasthttp server
// of its own, and the same handlers (admin.go). trace.go takes a request's trace from its
// header, and writes its line of the access log.
//
// # Concurrency
//
// A request runs on the loop or in the goroutine that has its connection. What it
// needs beside fasthttp's context is a request (request.go), pooled. A Cache may
// complete an operation on any goroutine. In a goroutine the handler waits for it; on a
// loop it returns, the loop holds the connection, context and request, and Server.resume
// goes on. So operations may point into the request's bytes, none of which outlive the
// request.
//
// # Memory
//
// A connection that waits on its loop holds no buffers: the loop's are for all. In a
// goroutine it holds its read buffer (Config.MaxHeader), a write buffer of 4 KiB, and
// body buffers of at most 8 KiB each way: 43 KiB at most. Everything larger, request
// bodies, answers and batches, is charged to a budget before it is kept
// (limits.go) and given back when the answer is written or the connection is
// closed.
package httpapi
