package httpapi

import "github.com/valyala/fasthttp"

// squeezeFrom is the length from which an answer is compressed for a client that
// takes that. Only what is for looking at is, never entries: for these the
// processor time matters more than the bytes.
const squeezeFrom = 1 << 10

// squeezeLevel is the quickest: it makes an answer of /stats ten times shorter.
const squeezeLevel = fasthttp.CompressBestSpeed

var (
	headerEncoding       = []byte("Content-Encoding")
	headerAcceptEncoding = []byte("Accept-Encoding")
	valueGzip            = []byte("gzip")
)

// squeezed compresses a body if it is worth it and the client takes that, and sets
// the headers that say so. The body is the caller's, and comes back in its buffer or
// in another.
func squeezed(ctx *fasthttp.RequestCtx, body []byte) []byte {
	if !takesGzip(ctx) || len(body) < squeezeFrom {
		return body
	}
	ctx.Response.Header.SetCanonical(headerEncoding, valueGzip)
	return fasthttp.AppendGzipBytesLevel(nil, body, squeezeLevel)
}

// takesGzip says whether the client takes a compressed answer, and has the answer
// say that it depends on that.
func takesGzip(ctx *fasthttp.RequestCtx) bool {
	ctx.Response.Header.AddBytesKV(headerVary, headerAcceptEncoding)
	return ctx.Request.Header.HasAcceptEncodingBytes(valueGzip)
}
