package httpapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/smache/smache/proto"
)

// FuzzBatch holds mset and mget to an oracle made of encoding/json: which items there
// are, what each comes to, and that what was written is what is read.
func FuzzBatch(f *testing.F) {
	for _, s := range jsonSeeds {
		f.Add([]byte(`[` + s + `]`))
		f.Add([]byte(`[1,` + s + `,"1",` + s + `]`))
	}
	f.Add([]byte(`[]`))
	f.Add([]byte(` [ { "key" : 1 , "data" : {} } ] `))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, list []byte) {
		if len(list) < 1<<16 {
			compareBatch(t, list)
		}
	})
}

// batchResult is an item of an answer.
type batchResult struct {
	Data  json.RawMessage
	Error *struct{ Code string }
}

func compareBatch(t *testing.T, list []byte) {
	t.Helper()
	const maxValue = 512
	s := newServer(t, newFake(), func(c *Config) { c.MaxValue = maxValue })
	ask := func(path, body string) (status int, results []batchResult) {
		ctx := postContext(body)
		ctx.Request.SetRequestURI(path)
		s.Handler()(ctx)
		answer := ctx.Response.Body()
		var a struct {
			Results []batchResult
			Code    string
		}
		if err := json.Unmarshal(answer, &a); err != nil {
			t.Fatalf("%s %q: the answer is no JSON: %v in %q", path, body, err, answer)
		}
		if status = ctx.Response.StatusCode(); (status == 200) != (a.Code == "") {
			t.Fatalf("%s %q: %d %s", path, body, status, answer)
		}
		return status, a.Results
	}
	set, get := fmt.Sprintf(`{"entries":%s}`, list), fmt.Sprintf(`{"keys":%s}`, list)
	status, written := ask("/api/mset", set)
	var members map[string]json.RawMessage
	var items []json.RawMessage
	why := checkJSON([]byte(set))
	switch {
	case why.refused():
		if status == 200 {
			t.Fatalf("%q: 200", set)
		}
		return
	case json.Unmarshal([]byte(set), &members) != nil || len(members) != 1:
		return // the list has ended early, and is no list
	case json.Unmarshal(list, &items) != nil || bytes.TrimSpace(list)[0] != '[':
		if status == 200 {
			t.Fatalf("%q: 200", set)
		}
		return
	}
	if status != 200 || len(written) != len(items) {
		t.Fatalf("%q: %d, %d results, should be %d", set, status, len(written), len(items))
	}
	held := map[string]string{}
	for i, item := range items {
		want := verdict{fail: proto.FailBody}
		if item[0] == '{' {
			var m map[string]json.RawMessage
			if err := json.Unmarshal(item, &m); err != nil {
				t.Fatal(err)
			}
			if m["if_match"] != nil || m["if_none_match"] != nil {
				return // the oracle knows nothing of conditions
			}
			want = oracle(item, maxValue)
		}
		if got := codeOf(&written[i]); got != codeOfFailure(want.fail) {
			t.Fatalf("%q, item %d: %q, should be %q", set, i, got, codeOfFailure(want.fail))
		}
		if want.fail == nil {
			held[want.key] = want.data
		}
	}
	status, read := ask("/api/mget", get)
	if status != 200 || len(read) != len(items) {
		t.Fatalf("%q: %d, %d results, should be %d", get, status, len(read), len(items))
	}
	for i, item := range items { // what is an entry is no key
		key, fail := oracleKey(item)
		if got := codeOf(&read[i]); got != codeOfFailure(fail) {
			t.Fatalf("%q, item %d: %q, should be %q", get, i, got, codeOfFailure(fail))
		}
		want := "null"
		if data, ok := held[key]; ok {
			want = data
		}
		if fail == nil && string(read[i].Data) != want {
			t.Fatalf("%q, item %d: %s, should be %s", get, i, read[i].Data, want)
		}
	}
}

func codeOf(r *batchResult) string {
	if r.Error == nil {
		return ""
	}
	return r.Error.Code
}

func codeOfFailure(f *proto.Failure) string {
	if f == nil {
		return ""
	}
	return f.Code
}
