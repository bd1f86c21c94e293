package httpapi

import (
	"bytes"
	"errors"
	"io"

	"github.com/valyala/fasthttp"

	"github.com/smache/smache/proto"
)

var (
	refuseMediaType = refusal{fail: proto.FailMediaType}
	refuseEncoding  = refusal{fail: proto.FailMediaType, text: "the body must come without Content-Encoding"}
)

// readJSON gives the body of a POST, which is JSON in UTF-8. It belongs to the
// handler, which may write to it.
func (s *Server) readJSON(ctx *fasthttp.RequestCtx, r *request) ([]byte, refusal) {
	if !isJSON(ctx.Request.Header.ContentType()) {
		return nil, refuseMediaType
	}
	if r.headers.given&givenEncoding != 0 {
		return nil, refuseEncoding
	}
	body, why := s.readBody(ctx, r)
	if why.refused() {
		return nil, why
	}
	return body, checkJSON(body)
}

// isJSON reports whether a Content-Type is application/json or one that ends in
// +json.
func isJSON(contentType []byte) bool {
	if string(contentType) == "application/json" {
		return true
	}
	media, _, _ := bytes.Cut(contentType, []byte{';'})
	media = bytes.ToLower(trimSpace(media))
	return string(media) == "application/json" || bytes.HasSuffix(media, []byte("+json")) && bytes.IndexByte(media, '/') > 0
}

// readBody reads the body. fasthttp streams it to here, having read its first
// 8 KiB at most, so that a larger one is charged before it is read.
func (s *Server) readBody(ctx *fasthttp.RequestCtx, r *request) ([]byte, refusal) {
	stream := ctx.RequestBodyStream()
	if stream == nil { // none, or the context was made by hand
		r.body = append(r.body[:0], ctx.Request.Body()...)
		return r.body, s.checkBodySize(len(r.body))
	}
	n := ctx.Request.Header.ContentLength()
	if n < 0 {
		return s.readChunked(stream, r)
	}
	if why := s.checkBodySize(n); why.refused() {
		return nil, why
	}
	if !s.charge(r.owes, n) {
		return nil, refuseBudget
	}
	body := r.body
	if cap(body) < n {
		body = make([]byte, n)
	}
	body = body[:n]
	if n <= mediumFrom {
		r.body = body
	}
	if _, err := io.ReadFull(stream, body); err != nil {
		ctx.SetConnectionClose()
		return nil, refuseRead(err)
	}
	return body, refusal{}
}

func (s *Server) checkBodySize(n int) refusal {
	if n > s.config.MaxBody {
		return refuseTooLarge(proto.FailBodyTooLarge, n, s.config.MaxBody)
	}
	return refusal{}
}

// readChunked reads a body of unknown length. What it is charged grows with it.
func (s *Server) readChunked(stream io.Reader, r *request) ([]byte, refusal) {
	body := r.body[:0]
	if cap(body) == 0 {
		body = make([]byte, 0, mediumFrom)
	}
	for {
		n, err := stream.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		if len(body) > s.config.MaxBody {
			return nil, refuseTooLarge(proto.FailBodyTooLarge, 0, s.config.MaxBody)
		}
		if errors.Is(err, io.EOF) {
			if cap(body) <= mediumFrom {
				r.body = body
			}
			return body, refusal{}
		}
		if err != nil {
			return nil, refuseRead(err)
		}
		if len(body) < cap(body) {
			continue
		}
		larger := min(4*cap(body), s.config.MaxBody+1)
		if !s.recharge(r.owes, cap(body), larger) {
			return nil, refuseBudget
		}
		body = append(make([]byte, 0, larger), body...)
	}
}
