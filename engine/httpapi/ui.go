package httpapi

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"sync"

	"github.com/valyala/fasthttp"
)

// uiFiles are the parts of the page at /ui: its frame, its style and its program,
// which is written in plain JavaScript and runs as it is.
//
//go:embed ui
var uiFiles embed.FS

// uiScripts are the parts of the program, in the order in which they run.
var uiScripts = []string{"ui/format.js", "ui/data.js", "ui/chart.js", "ui/page.js", "ui/keys.js"}

// uiPage is the page as it is sent: everything in one answer, so that it is there
// with the first packets, and asks for nothing but figures afterwards.
type uiPage struct {
	plain, squeezed []byte
	policy, tag     []byte
}

// theUI is put together when it is first asked for.
var theUI = sync.OnceValue(func() *uiPage {
	style := uiFile("ui/style.css")
	var script []byte
	for _, name := range uiScripts {
		script = append(script, uiFile(name)...)
	}
	page := uiFile("ui/page.html")
	page = bytes.Replace(page, []byte("<style></style>"), wrapped("<style>", style, "</style>"), 1)
	page = bytes.Replace(page, []byte(`<script type="module"></script>`), wrapped(`<script type="module">`, script, "</script>"), 1)
	sum := sha256.Sum256(page)
	return &uiPage{
		plain:    page,
		squeezed: fasthttp.AppendGzipBytesLevel(nil, page, fasthttp.CompressBestCompression),
		// The style and the program are allowed by their hashes: nothing that gets
		// into the page by way of a key, a value or a name could run.
		policy: []byte("default-src 'none'; script-src " + sourceHash(script) + "; style-src " + sourceHash(style) +
			"; img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"),
		tag: []byte(`"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`),
	}
})

func uiFile(name string) []byte {
	text, err := uiFiles.ReadFile(name)
	if err != nil {
		panic("BUG: httpapi: " + err.Error())
	}
	return text
}

func wrapped(before string, text []byte, after string) []byte {
	return append(append([]byte(before), text...), after...)
}

// sourceHash names a text in a Content-Security-Policy.
func sourceHash(text []byte) string {
	sum := sha256.Sum256(text)
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

var (
	typeHTML = []byte("text/html; charset=utf-8")

	headerPolicy       = []byte("Content-Security-Policy")
	headerSniff        = []byte("X-Content-Type-Options")
	headerReferrer     = []byte("Referrer-Policy")
	headerOpener       = []byte("Cross-Origin-Opener-Policy")
	headerResource     = []byte("Cross-Origin-Resource-Policy")
	valueNoSniff       = []byte("nosniff")
	valueNoReferrer    = []byte("no-referrer")
	valueSameOrigin    = []byte("same-origin")
	valueUIRevalidates = []byte("no-cache")
)

// ui answers GET /ui: a page that shows the cluster. It has no figures itself, and
// no rights but those of whoever looks at it: it asks the API like everybody.
func (s *Server) ui(ctx *fasthttp.RequestCtx, r *request) {
	page, h := theUI(), &ctx.Response.Header
	h.SetContentTypeBytes(typeHTML)
	h.SetCanonical(headerCacheControl, valueUIRevalidates)
	h.SetCanonical(headerETag, page.tag)
	h.SetCanonical(headerPolicy, page.policy)
	h.SetCanonical(headerSniff, valueNoSniff)
	h.SetCanonical(headerReferrer, valueNoReferrer)
	h.SetCanonical(headerOpener, valueSameOrigin)
	h.SetCanonical(headerResource, valueSameOrigin)
	gzip := takesGzip(ctx)
	switch {
	case bytes.Equal(r.headers.ifNoneMatch, page.tag):
		ctx.SetStatusCode(fasthttp.StatusNotModified)
	case gzip:
		h.SetCanonical(headerEncoding, valueGzip)
		ctx.Response.SetBodyRaw(page.squeezed)
	default:
		ctx.Response.SetBodyRaw(page.plain)
	}
}
