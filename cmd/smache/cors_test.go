package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestCORSInBrowser: a page of another origin uses a node that --cors-origin lets it use,
// with conditions, and reads what it has to; at a node that does not know the page the
// browser gives it nothing, and nothing is written.
func TestCORSInBrowser(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<!doctype html><link rel=icon href='data:,'><title>A map</title>")
	}))
	defer page.Close()
	knows, other := serve(t, nil, "--cors-origin", page.URL), serve(t, nil)
	b.visit(page.URL)
	b.eval(`window.ask = async (url, method, key, headers, body) => {
		try {
			const a = await fetch(url + "/api" + (body ? "" : "?key=" + key), { method, headers, body });
			const text = await a.text();
			return a.status + " " + (a.headers.get("ETag") ? "etag " : "") + (a.headers.get("Smache-TTL") ? "ttl " : "") + (text && JSON.parse(text).code || "");
		} catch (e) {
			return "nothing";
		}
	}`, nil)
	for _, c := range []struct {
		node                       *process
		method, key, headers, body string
		want                       string
	}{
		{knows, "POST", "a", `"Content-Type": "application/json", "If-None-Match": "*"`, `{"key":"a","data":{"n":1},"ttl":60}`, "200 etag "},
		{knows, "POST", "a", `"Content-Type": "application/json", "If-None-Match": "*"`, `{"key":"a","data":{"n":2}}`, "412 precondition_failed"},
		{knows, "GET", "a", ``, "", "200 etag ttl "},
		{knows, "GET", "b&miss=404", ``, "", "404 miss"},
		{knows, "DELETE", "a", `"If-Match": "\"0000000000000001\""`, "", "412 precondition_failed"},
		{knows, "DELETE", "a", ``, "", "200 "},
		{other, "GET", "a", ``, "", "nothing"},
		{other, "POST", "a", `"Content-Type": "application/json"`, `{"key":"a","data":{}}`, "nothing"},
		{other, "POST", "a", ``, `{"key":"a","data":{}}`, "nothing"}, // of which a browser asks nobody first
	} {
		body := "undefined"
		if c.body != "" {
			body = "`" + c.body + "`"
		}
		var got string
		b.eval(fmt.Sprintf("ask(%q, %q, %q, {%s}, %s)", "http://"+c.node.address, c.method, c.key, c.headers, body), &got)
		if got != c.want {
			t.Errorf("%s %s with {%s}: the page is told %q, want %q", c.method, c.key, c.headers, got, c.want)
		}
	}
	if status, text := other.get("/api?key=a&miss=404"); status != http.StatusNotFound {
		t.Errorf("a page that is not known has written: %d %s", status, text)
	}
}
