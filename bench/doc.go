// Package bench is Smache's load generator as a library: workload, pacer, runner,
// histogram, result, comparison and report. The command smache bench is a thin user
// of it.
//
// A Workload says what is asked and what must be answered. Run opens the
// connections, sends each request when the one before it on the same connection
// was answered (closed loop), or when a Pacer says so (open loop), checks every
// answer, and gives a Result, which writes itself as text, JSON, CSV or a page.
// Compare says which differences between two Results are more than noise.
// RunEngine does the same to a Target inside the process, without a network.
// What is spoken is the Endpoint's: HTTP and RESP (redis), over TLS or not, memcached's
// text protocol, or the protocol between Smache's nodes, as a client.
//
// What it owns: the requests and their order, which follow from the workload's
// seed and the request's number alone, so that two runs ask for the same keys
// whatever the number of event loops; the exact number of requests; the time
// from handing a request to the kernel, or from the intended time of an open loop,
// to the last byte of its answer.
//
// What it refuses: to send anything anywhere but to the endpoint it was given
// (redirects are failures), to pipeline, to repeat a request
// unless Config.Retry asks for it, and to call an answer good that it has not
// compared: byte for byte, but for the coordinates that Vary makes differ, which must
// be of one write of that key, whichever, and for NewHTTP without an answer to expect,
// which has its status compared.
//
// # Concurrency
//
// One event loop per thread runs all connections that were given to it: the
// answer is parsed from the loop's read buffer and the next request written in
// the same callback, without allocation, lock or wake-up. All state of a loop
// belongs to its goroutine. Others reach it by tasks: the runner, which starts
// the phases and ticks for time-outs and progress. A few dialing goroutines open
// connections and hand them to the loops; few, so that the listen queue of the
// server does not overflow. They wait for the handshakes of TLS, too; what is sealed
// afterwards the loops open and seal themselves, with crypto/tls. Loops share one atomic counter, from which request
// numbers are drawn.
//
// The event loop is epoll with system calls that the Go runtime is not told of,
// on Linux, and gnet elsewhere: on a machine that others keep busy that costs less for
// each request than either gnet or system calls that the runtime is told of, and on a
// quiet one the same. docs/BENCHMARKS.md has what the generator costs beside ab and wrk.
//
// # Bytes
//
// The bytes that a Script gives are valid until its next call; the bytes that a
// loop reads are valid inside the callback. Nothing else points to them. A
// connection owns a buffer only while a header is incomplete. Bodies are
// compared as they arrive and never gathered.
package bench
