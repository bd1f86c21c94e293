package bench

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// The placeholders of an HTTPCall.
const (
	placeKey   = "{key}"
	placeValue = "{value}"
	placeAny   = "{any}"
)

// An HTTPCall is a request to any server that speaks HTTP. {key} in Path, Body and
// Answer stands for the text of the key, and {value} in Body and Answer for its
// value, a JSON object.
type HTTPCall struct {
	// Method is GET if empty, or POST if there is a Body. Not CONNECT.
	Method string
	// Path is what stands in the request line, with the query; see SplitURL.
	Path string
	// Body is sent if it is not empty, as application/json unless a header says
	// otherwise.
	Body string
	// Status is that of the right answer; http.StatusOK if zero.
	Status int
	// Answer is its body, in which {any} stands for what is not known, as
	// Expect.Holes says. If it is empty the bodies are not compared.
	Answer string
}

func (c HTTPCall) withDefaults() (HTTPCall, error) {
	if c.Method == "" {
		c.Method = http.MethodGet
		if c.Body != "" {
			c.Method = http.MethodPost
		}
	}
	if c.Status == 0 {
		c.Status = http.StatusOK
	}
	name, _, err := cutHeader([]byte(c.Method + ":"))
	switch {
	case err != nil || string(name) != c.Method || c.Method == http.MethodConnect:
		return c, fmt.Errorf("%w: --method %q is none", ErrConfig, c.Method)
	case c.Status < 200 || c.Status > 999:
		return c, fmt.Errorf("%w: --status must be 200 to 999", ErrConfig)
	case c.Method == http.MethodHead && c.Answer != "":
		return c, fmt.Errorf("%w: --answer: answers to HEAD have no body", ErrConfig)
	case !strings.HasPrefix(c.Path, "/"):
		return c, fmt.Errorf("%w: the path must begin with /", ErrConfig)
	case strings.Contains(c.Path, placeValue):
		return c, fmt.Errorf("%w: --url: %s is for --body and --answer", ErrConfig, placeValue)
	case strings.Contains(c.Path+c.Body, placeAny):
		return c, fmt.Errorf("%w: %s is for --answer", ErrConfig, placeAny)
	case strings.HasSuffix(c.Answer, placeAny), strings.Contains(c.Answer, placeAny+placeAny):
		return c, fmt.Errorf("%w: --answer: something must stand behind %s", ErrConfig, placeAny)
	}
	return c, nil
}

// NewHTTP makes the workload of one request to any server that speaks HTTP. The
// errors wrap ErrConfig.
func NewHTTP(cfg WorkloadConfig, call HTTPCall) (Workload, error) {
	call, err := call.withDefaults()
	if err != nil {
		return nil, err
	}
	if cfg.Endpoint.Protocol != ProtocolHTTP {
		return nil, fmt.Errorf("%w: --url: this scenario is for http:// only", ErrConfig)
	}
	w, err := newScripted("http", cfg, nil, func(d dialect) []operation { return []operation{call.operation(d.(httpDialect))} })
	if err != nil {
		return nil, err
	}
	w.about = call.Method + " " + call.Path
	w.settings["method"], w.settings["path"], w.settings["status"] = call.Method, shortText(call.Path), strconv.Itoa(call.Status)
	w.settings["body"], w.settings["answer"] = shortText(call.Body), shortText(call.Answer)
	if strings.Contains(call.Path+call.Body+call.Answer, "{") {
		w.about += ", " + w.keys.about()
	}
	if call.Answer == "" {
		w.about += ", bodies not compared"
	}
	w.reader = func() Reader { return &Parser{Head: call.Method == http.MethodHead} }
	return w, nil
}

func (c *HTTPCall) operation(d httpDialect) operation {
	kind := valueKind{varying: d.Vary}
	uses := c.Path + c.Body + c.Answer
	op := operation{name: "http", status: c.Status, any: c.Answer == "", fill: func(request, answer *template) {
		request.add(c.Method + " ")
		d.addPlaces(request, c.Path, kind)
		d.addHeaders(request)
		if c.Body != "" {
			var body template
			d.addPlaces(&body, c.Body, kind)
			if !d.hasHeader("content-type") {
				request.add("Content-Type: application/json\r\n")
			}
			request.add("Content-Length: " + strconv.Itoa(len(body.text)) + "\r\n")
		}
		request.add("\r\n")
		d.addPlaces(request, c.Body, kind)
		d.addPlaces(answer, c.Answer, kind)
	}}
	if strings.Contains(uses, placeKey) || strings.Contains(uses, placeValue) {
		op.items, op.vary = 1, d.Vary
	}
	return op
}

// addPlaces adds a text with its placeholders filled in.
func (c httpDialect) addPlaces(t *template, text string, kind valueKind) {
	for {
		i := strings.IndexByte(text, '{')
		if i < 0 {
			t.add(text)
			return
		}
		t.add(text[:i])
		switch text = text[i:]; {
		case strings.HasPrefix(text, placeKey):
			t.addKey(&c.Keys)
			text = text[len(placeKey):]
		case strings.HasPrefix(text, placeValue):
			t.addValue(&c.Keys, c.ValueSize, kind)
			text = text[len(placeValue):]
		case strings.HasPrefix(text, placeAny):
			t.addHole()
			text = text[len(placeAny):]
		default:
			t.add("{")
			text = text[1:]
		}
	}
}

// hasHeader reports whether a header, in lower case, was asked for.
func (c *WorkloadConfig) hasHeader(lower string) bool {
	for _, h := range c.Headers {
		if name, _, _ := strings.Cut(h, ":"); equalFold([]byte(name), lower) {
			return true
		}
	}
	return false
}
