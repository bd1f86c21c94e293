package httpapi

import (
	"encoding/json"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/smache/smache/proto"
)

// The parts of the description that the tests look at.
type (
	apiExample   struct{ Value json.RawMessage }
	apiExamples  map[string]apiExample
	apiContent   map[string]struct{ Examples apiExamples }
	apiParameter struct {
		Name, In string
		Ref      string `json:"$ref"`
		Examples apiExamples
	}
	apiOperation struct {
		OperationID string
		Parameters  []apiParameter
		RequestBody struct{ Content apiContent }
		Responses   map[string]struct {
			Ref     string `json:"$ref"`
			Content apiContent
		}
	}
	apiDescription struct {
		OpenAPI    string
		Paths      map[string]map[string]json.RawMessage
		Components struct {
			Schemas struct {
				Code struct{ Enum []string }
			}
			Responses map[string]struct{ Description string }
		}
	}
)

func readDescription(t *testing.T) (d apiDescription, operations map[[2]string]apiOperation) {
	t.Helper()
	if err := json.Unmarshal(openAPIText, &d); err != nil {
		t.Fatal(err)
	}
	operations = make(map[[2]string]apiOperation)
	for path, methods := range d.Paths {
		for method, raw := range methods {
			if method == "description" {
				continue
			}
			var op apiOperation
			if err := json.Unmarshal(raw, &op); err != nil {
				t.Fatalf("%s %s: %v", method, path, err)
			}
			operations[[2]string{strings.ToUpper(method), path}] = op
		}
	}
	return d, operations
}

// TestDescriptionIsComplete holds openapi.json to the routes and the failures.
func TestDescriptionIsComplete(t *testing.T) {
	d, operations := readDescription(t)
	if !strings.HasPrefix(d.OpenAPI, "3.1.") {
		t.Errorf("openapi is %q", d.OpenAPI)
	}
	known := make(map[[2]string]bool)
	for _, info := range routes {
		for _, path := range info.paths {
			for _, method := range strings.Fields(info.methods) {
				known[[2]string{method, path}] = true
				if path != "/api/" && operations[[2]string{method, path}].OperationID == "" {
					t.Errorf("%s %s is not described", method, path)
				}
			}
		}
	}
	c := dial(t, serveAdmin(t, newServer(t, newFake(), withAdmin)))
	ids := make(map[string]bool)
	for at, op := range operations {
		if !known[at] {
			t.Errorf("%s %s is no route", at[0], at[1])
		}
		if ids[op.OperationID] {
			t.Errorf("%s is the name of two operations", op.OperationID)
		}
		ids[op.OperationID] = true
		got := c.send(at[0] + " " + at[1] + "?key=1&seconds=0.01 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
		if got.status == 404 || got.status == 405 {
			t.Errorf("%s %s is answered %d", at[0], at[1], got.status)
		}
	}
	var codes []string
	for _, f := range proto.Failures() {
		codes = append(codes, f.Code)
		if r := d.Components.Responses["E"+strconv.Itoa(f.HTTP)]; !strings.Contains(r.Description, f.Code+" ("+f.Text+"; ") {
			t.Errorf("the answer %d does not tell of %s as the table does", f.HTTP, f.Code)
		}
	}
	slices.Sort(codes)
	slices.Sort(d.Components.Schemas.Code.Enum)
	if !slices.Equal(codes, d.Components.Schemas.Code.Enum) {
		t.Errorf("the codes are %v, should be %v", d.Components.Schemas.Code.Enum, codes)
	}
	checkReferences(t, openAPIText)
}

// checkReferences follows every reference in the text.
func checkReferences(t *testing.T, text []byte) {
	t.Helper()
	var root any
	if err := json.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				walk(e)
			}
		case map[string]any:
			for name, e := range v {
				if ref, ok := e.(string); ok && name == "$ref" {
					at := root
					for _, part := range strings.Split(strings.TrimPrefix(ref, "#/"), "/") {
						at = at.(map[string]any)[part]
					}
					if at == nil {
						t.Errorf("%s leads nowhere", ref)
					}
				}
				walk(e)
			}
		}
	}
	walk(root)
}

// TestDescriptionExamples sends every example of a request and compares the
// answer with the example of the same name.
func TestDescriptionExamples(t *testing.T) {
	_, operations := readDescription(t)
	sent := 0
	c := dial(t, serve(t, newServer(t, newFake(), nil)))
	for at, op := range operations {
		names := make(map[string]bool)
		for _, response := range op.Responses {
			for _, content := range response.Content {
				for name := range content.Examples {
					names[name] = true
				}
			}
		}
		for name := range names {
			sent++
			if got := c.post("/api/flush", "{}"); got.status != 200 {
				t.Fatal(got.body)
			}
			if got := c.post("/api", `{"key":"driver-1042","data":{"lat":52.520008,"lng":13.404954}}`); got.status != 200 {
				t.Fatal(got.body)
			}
			got := c.send(exampleText(at[0], at[1], name, op))
			want, ok := op.Responses[strconv.Itoa(got.status)].Content["application/json"].Examples[name]
			if !ok || !sameJSON(t, []byte(got.body), want.Value) {
				t.Errorf("%s %s, example %s: %d %s, should be %s", at[0], at[1], name, got.status, got.body, want.Value)
			}
		}
		for name := range op.RequestBody.Content["application/json"].Examples {
			if !names[name] {
				t.Errorf("%s %s, example %s has no answer", at[0], at[1], name)
			}
		}
	}
	if sent < 20 {
		t.Errorf("only %d examples", sent)
	}
}

// exampleText is the request of an example.
func exampleText(method, path, name string, op apiOperation) string {
	query := url.Values{}
	for _, p := range op.Parameters {
		if e, ok := p.Examples[name]; ok && p.In == "query" {
			var text string
			_ = json.Unmarshal(e.Value, &text)
			query.Set(p.Name, text)
		}
	}
	body := string(op.RequestBody.Content["application/json"].Examples[name].Value)
	text := fmt.Sprintf("%s %s?%s HTTP/1.1\r\nHost: localhost\r\n", method, path, query.Encode())
	if method == "POST" {
		text += fmt.Sprintf("Content-Type: application/json\r\nContent-Length: %d\r\n", len(body))
	}
	return text + "\r\n" + body
}

// sameJSON compares two texts, but for the names of nodes.
func sameJSON(t *testing.T, a, b []byte) bool {
	t.Helper()
	var x, y any
	text := strings.ReplaceAll(string(a), "smache@test", "smache@host")
	if err := json.Unmarshal([]byte(text), &x); err != nil {
		t.Fatalf("%s: %v", a, err)
	}
	if err := json.Unmarshal(b, &y); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	return reflect.DeepEqual(x, y)
}

// TestDescriptionOfAccess: what needs a token says so, and nothing else does.
func TestDescriptionOfAccess(t *testing.T) {
	var d struct {
		Security []map[string][]string
		Paths    map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal(openAPIText, &d); err != nil || len(d.Security) != 4 {
		t.Fatalf("security is %v, %v", d.Security, err)
	}
	s := newServer(t, newFake(), nil)
	for path, methods := range d.Paths {
		for method, raw := range methods {
			if method == "description" {
				continue
			}
			var op struct {
				Security  *[]map[string][]string
				Responses map[string]json.RawMessage
			}
			if err := json.Unmarshal(raw, &op); err != nil {
				t.Fatal(err)
			}
			_, refuses := op.Responses["401"]
			open := s.accessOf(&request{admin: true}, []byte(path), []byte(strings.ToUpper(method))) == accessOpen
			if refuses == open || open != (op.Security != nil && len(*op.Security) == 0) {
				t.Errorf("%s %s: 401 is described: %v, open: %v, security %v", method, path, refuses, open, op.Security)
			}
		}
	}
}
