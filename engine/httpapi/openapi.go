package httpapi

import (
	_ "embed"

	"github.com/valyala/fasthttp"
)

// openAPIText is the description of the API, OpenAPI 3.1. A test sends its
// examples and compares it with routes and the failure table.
//
//go:embed openapi.json
var openAPIText []byte

// openAPI answers GET /openapi.json.
func (s *Server) openAPI(ctx *fasthttp.RequestCtx) {
	ctx.Response.Header.SetContentTypeBytes(typeJSON)
	ctx.Response.SetBodyRaw(openAPIText)
}
