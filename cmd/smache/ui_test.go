package main

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// traffic sends requests to nodes until the returned function is called: half of the
// reads find something.
func traffic(t *testing.T, nodes ...*process) (stop func()) {
	end, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		client := http.Client{Timeout: patience}
		for i := 0; ; i++ {
			select {
			case <-end:
				return
			default:
			}
			url := "http://" + nodes[i/3%len(nodes)].address + "/api"
			var response *http.Response
			var err error
			if i%3 == 0 {
				response, err = client.Post(url, "application/json", strings.NewReader(fmt.Sprintf(`{"key":%d,"data":{"n":%d},"ttl":300}`, i/3%30, i)))
			} else {
				response, err = client.Get(fmt.Sprintf("%s?key=%d", url, i%60))
			}
			if err == nil {
				_ = response.Body.Close()
			}
		}
	}()
	return func() {
		close(end)
		<-done
	}
}

// threeNodes starts a cluster of three, and waits until it has settled.
func threeNodes(t *testing.T) (nodes []*process) {
	t.Helper()
	ports := clusterPorts(t, 3)
	for _, port := range ports {
		nodes = append(nodes, serveOn(t, port, aSecret, append(unhurried, "--join", "127.0.0.1:"+ports[0])...))
	}
	awaitSettled(t, nodes...)
	return nodes
}

// mustBeQuiet says that nothing has gone wrong in the page, and that it has asked for
// nothing of any other host, nor for more than the page itself, figures and keys.
func (b *browser) mustBeQuiet(node *process) {
	b.t.Helper()
	for _, text := range b.errors() {
		b.t.Errorf("the page: %s", text)
	}
	for _, url := range b.loaded() {
		path, ours := strings.CutPrefix(url, "http://"+node.address)
		path, _, _ = strings.Cut(path, "?")
		switch {
		case strings.HasPrefix(url, "data:image/svg+xml,"), url == "about:blank":
		case !ours || path != "/ui" && path != "/stats" && path != "/api":
			b.t.Errorf("the page asks for %s", url)
		}
	}
}

// TestUI looks at a cluster of three nodes in a browser: its figures, a key that is
// written, looked up, changed and deleted by the keyboard alone, in both themes and
// on a phone.
func TestUI(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	nodes := threeNodes(t)
	stop := traffic(t, nodes...)
	defer stop()
	b.screen(1280, 900, "light")
	b.visit("http://" + nodes[1].address + "/ui")

	b.await("all members are shown with figures", `document.querySelectorAll("#rows tr").length === 3 &&
		[...document.querySelectorAll("#rows tr")].every((r) => /%/.test(r.querySelector("[data-name=Hits]").innerText) && /s$/.test(r.querySelector("[data-name=p99]").innerText))`)
	for i, p := range nodes {
		row := fmt.Sprintf(`document.querySelector("#rows tr:nth-child(%d)").innerText`, i+1)
		b.await(fmt.Sprintf("row %d says who that is", i), fmt.Sprintf(`%s.includes(%q) && %s.includes("serving") && %s.includes("(asked)") === %t`, row, nodeName(p), row, row, i == 1))
	}
	b.await("all is well", `document.querySelector("#health").innerText === "3 nodes, all serving"`)
	b.await("the tiles have figures", `/^[\d.,]+k?\/s$/.test(document.querySelector("#tiles dd").innerText) && /\d%/.test(document.querySelectorAll("#tiles dd")[2].innerText)`)
	b.await("lines are drawn", `document.querySelectorAll("#charts .chart").length === 6 && [...document.querySelectorAll("#charts .chart")].every((c) => c.querySelector("path"))`)
	var arcs int
	if b.eval(`document.querySelectorAll("#ring circle title").length`, &arcs); arcs != 3 {
		t.Errorf("the ring has %d parts", arcs)
	}

	var paint, ready float64
	b.await("the page is painted", `performance.getEntriesByName("first-contentful-paint").length === 1`)
	b.eval(`performance.getEntriesByName("first-contentful-paint")[0].startTime`, &paint)
	b.eval(`performance.getEntriesByType("navigation")[0].domComplete`, &ready)
	t.Logf("first paint after %.0f ms, all there after %.0f", paint, ready)

	// By the keyboard: the skip link is first; then the key is looked up.
	b.press("Tab")
	var focused string
	if b.eval(`document.activeElement.className`, &focused); focused != "skip" {
		t.Errorf("the first thing that the keyboard reaches is %q", focused)
	}
	b.press("Enter")
	b.tabTo(`document.activeElement.closest("#write") && document.activeElement.name === "key"`)
	b.enter(`line 7/"é"`)
	b.press("Tab")
	b.enter("120")
	b.press("Tab")
	b.eval(`document.activeElement.select()`, nil)
	b.enter(`{"lat":52.5200,"big":12345678901234567890,"list":[1,{"a":"<b>"}]}`)
	written := time.Now()
	b.press("Tab", "Enter")
	b.await("it is written", `/is written/.test(document.querySelector("#written").innerText)`)
	b.await("it is shown", `document.querySelector("#found pre")`)
	if shown := strings.Join(strings.Fields(b.text("#found pre")), ""); shown != `{"lat":52.5200,"big":12345678901234567890,"list":[1,{"a":"<b>"}]}` {
		t.Errorf("the data is shown as %s", shown)
	}
	facts := b.text("#found dl")
	left := false // of two minutes, less what has passed since at most
	for s := 120; s >= 119-int(time.Since(written).Seconds()); s-- {
		left = left || strings.Contains(facts, fmt.Sprintf("%d min %d s", s/60, s%60))
	}
	if !strings.Contains(facts, "Held by") || !strings.Contains(facts, `ETag`) || !left {
		t.Errorf("it is said %q", facts)
	}
	if status, text := nodes[0].get("/api?key=line%207/%22%C3%A9%22"); status != 200 || !strings.Contains(text, `"lat":52.5200,"big":12345678901234567890`) {
		t.Errorf("the node has %d %s", status, text)
	}
	b.shoot("light")

	// To be changed, it stands in the form from its first line to its last.
	b.tabTo(`document.activeElement.innerText === "Edit"`)
	b.press("Enter")
	b.await("it is in the form", `((e) => e.name === "data" && e.selectionEnd === 0 && e.value.split("\n").length === 10 && e.scrollHeight <= e.clientHeight)(document.activeElement)`)

	// Somebody else changes it: the condition holds the write back.
	if status, answer := post(nodes[2], `{"key":"line 7/\"é\"","data":{"other":1}}`); status != 200 {
		t.Fatalf("%d %s", status, answer)
	}
	b.eval(`document.querySelector("#write button").click()`, nil)
	b.await("it is refused", `/Not written: the entry is not the one that the condition names/.test(document.querySelector("#written").innerText)`)

	b.excuse("412 (Precondition Failed)") // which the browser takes for an error

	// Looked up again, and deleted: the first press asks, the second does it.
	b.eval(`document.querySelector("#look [name=key]").focus()`, nil)
	b.press("Enter")
	b.await("it is shown", `/"other": 1/.test(document.querySelector("#found").innerText)`)
	b.tabTo(`document.activeElement.className === "danger"`)
	b.press("Enter")
	b.await("it asks", `document.activeElement.innerText === "Delete for good?"`)
	b.press("Enter")
	b.await("it is deleted", `/is deleted/.test(document.querySelector("#found").innerText)`)
	b.press("Enter")
	b.await("it is gone", `/There is no entry/.test(document.querySelector("#found").innerText)`)

	// The arrow keys go through a chart.
	b.eval(`document.querySelector("#charts svg").focus()`, nil)
	b.press("ArrowLeft", "ArrowLeft")
	b.await("the values are of an earlier moment", `/ s ago$/.test(document.querySelector("#charts svg").getAttribute("aria-label"))`)
	b.press("Escape")
	b.await("they are the latest again", `!/ago$/.test(document.querySelector("#charts svg").getAttribute("aria-label"))`)

	b.themes()
	b.mustBeQuiet(nodes[1])
}

// uiFigures takes the place of the node's answers in a page: three members whose load
// has gone from 10 reads a second to 500 of each just now, and from 1 ms to 40. The
// name of the first is long; the samples of the second span three seconds each, and the
// third fails to answer while late is set. moving slots move; asked has how many samples
// the page has asked for.
const uiFigures = `(() => {
	const began = Date.now(), figures = ["number", "span_ms", "reads", "writes", "deletes", "failed", "hits", "misses", "forwarded", "evictions", "expirations",
		"received_bytes", "sent_bytes", "processor_us", "entries", "live_bytes", "arena_bytes", "arena_age_ms", "resident_bytes", "memory_bytes", "connections", "in_flight", "moving"];
	window.late = false;
	window.moving = 0;
	window.asked = [];
	window.fetch = async (path) => {
		const last = +new URL(path, location.href).searchParams.get("last"), now = Date.now();
		window.asked.push(last);
		const member = (name, seconds) => {
			const about = { name, state: "serving", slots: 21845, version: "v" };
			if (name === "c" && window.late) return { ...about, error: "no_answer" };
			const samples = { latency: [] }, newest = Math.floor((now - began) / 1000 / seconds) + 1000;
			for (const f of figures) samples[f] = [];
			for (let number = newest - last + 1; number <= newest; number++) {
				const busy = number > 1000 - 3 / seconds;
				for (const f of figures) samples[f].push({ number, span_ms: seconds * 1000, reads: seconds * (busy ? 500 : 10), hits: 1, entries: 1 }[f] || 0);
				samples.latency.push(busy ? [0, 0, 1] : [0, 1, 0]);
			}
			return { ...about, run: "1", age: (now - began) / 1000 % seconds, samples };
		};
		return new Response(JSON.stringify({ node: "smache@ip-10-20-130-140.eu-central-1.compute.internal:4000", epoch: "1", moving: window.moving, latency_bounds: [0.001, 0.04], members: [member("smache@ip-10-20-130-140.eu-central-1.compute.internal:4000", 1), member("b", 3), member("c", 1)] }));
	};
	// What the page says of the present: whole numbers of requests, and latencies.
	window.says = () => {
		const count = (text) => Math.round(parseFloat(text.replace(/,/g, "")));
		const values = (i) => [...document.querySelectorAll("#charts .chart")[i].querySelectorAll("b")].map((e) => e.textContent);
		const tile = (i) => document.querySelectorAll("#tiles > div")[i].innerText;
		return {
			tile: count(tile(0).split("\n")[1]), chart: values(0).reduce((n, v) => n + count(v), 0),
			rows: [...document.querySelectorAll("#rows [data-name='Req/s']")].reduce((n, e) => n + (count(e.textContent) || 0), 0),
			tileLatency: tile(2).split("\n").slice(1).join(" "), chartLatency: values(2)[0] + " p99 " + values(2)[1],
		};
	};
})()`

// TestUIOneStory: the tiles, the ends of the lines and the table say the same of the
// same five seconds, while the load rises and a member is late; what that has not told
// in time it is asked for afterwards.
func TestUIOneStory(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	p := serve(t, nil)
	b.screen(1280, 900, "light")
	b.call("Page.addScriptToEvaluateOnNewDocument", map[string]any{"source": uiFigures}, nil)
	b.visit("http://" + p.address + "/ui")
	var said struct {
		Tile, Chart, Rows         int
		TileLatency, ChartLatency string
	}
	same := func(when string) {
		t.Helper()
		b.eval("says()", &said)
		// Each of the three rows is rounded for itself.
		if said.Tile != said.Chart || said.Rows < said.Tile-2 || said.Rows > said.Tile+2 || said.TileLatency != said.ChartLatency {
			t.Errorf("%s: the page says %+v", when, said)
		}
	}
	b.await("there are three members", `document.querySelectorAll("#rows tr").length === 3`)
	same("while the load rises")
	// Where the browser gets little of a processor, time passes while it draws.
	b.eval(`(() => {
		const real = Date.now;
		let calls = 0;
		Date.now = () => real() + 300 * calls++;
		try { document.querySelector("[name=window]:checked").dispatchEvent(new Event("change")); } finally { Date.now = real; }
	})()`, nil)
	same("while the load rises, drawn slowly")
	b.await("the load has risen", "says().tile === 1500")
	same("when it has risen")
	b.eval("late = true", nil)
	b.await("the third is late", `document.querySelector("#health").innerText === "1 of 3 nodes not answering"`)
	b.await("it counts no longer", "says().tile === 1000")
	same("while one does not answer")
	b.eval("late = false; asked = []", nil)
	b.await("what it has not told is asked for", "asked.some((n) => n > 5)")
	b.await("it counts again", "says().tile === 1500")
	same("when it answers again")
	// The line has no dip where it was late, and a long sample fills all its steps.
	b.eval(`document.querySelector("[name=window]").click(); document.querySelector("#charts svg").focus()`, nil)
	for range 3 {
		b.press("ArrowLeft")
		var reads string
		if b.eval(`document.querySelector("#charts b").textContent`, &reads); reads != "1,500" {
			t.Errorf("%s: %s reads a second", b.text("#charts .legend"), reads)
		}
	}
	// Slots that move show, and that they have.
	ring := `document.querySelector("#ring").innerHTML.includes`
	b.eval("moving = 1234", nil)
	b.await("slots move", `document.querySelector("#health").innerText === "3 nodes, 1,234 slots moving" && `+ring+`(">1,234<")`)
	b.eval("moving = 0", nil)
	b.await("they have moved", `document.querySelector("#health").innerText === "3 nodes, all serving" && `+ring+`("none moving")`)
	// Names as long as machines have in a cloud leave the rest its place.
	for _, width := range []int{1280, 800, 360} {
		b.screen(width, 800, "light")
		b.await(fmt.Sprintf("the page fits %d", width), `innerWidth === `+fmt.Sprint(width)+` && document.documentElement.scrollWidth <= innerWidth`)
		b.mustHavePlace()
		b.shoot(fmt.Sprintf("names-%d", width))
	}
}

// tabTo presses the tabulator until a condition holds, from wherever the focus is.
func (b *browser) tabTo(condition string) {
	b.t.Helper()
	for range 60 {
		b.press("Tab")
		var there bool
		if b.eval("Boolean("+condition+")", &there); there {
			return
		}
	}
	b.t.Fatalf("the keyboard does not reach %s", condition)
}

// TestUIFrozenNode: a node that is frozen shows as such, and does not hold the figures
// of the others up; when it is well again, it shows that too.
func TestUIFrozenNode(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	nodes := threeNodes(t)
	b.visit("http://" + nodes[0].address + "/ui")
	row := fmt.Sprintf(`(document.querySelector("[data-node='%s']") || {innerText: "no row"}).innerText`, nodeName(nodes[2]))
	b.await("all three serve", `document.querySelectorAll("#rows .good").length === 3`)
	nodes[2].signal(syscall.SIGSTOP)
	defer nodes[2].signal(syscall.SIGCONT)
	b.await("the frozen node shows", `/no answer|silent/.test(`+row+`) && document.querySelector("#health").innerText === "1 of 3 nodes not answering"`)
	b.await("the others go on", `document.querySelectorAll("#rows .good").length === 2`)
	b.shoot("frozen")
	nodes[2].signal(syscall.SIGCONT)
	b.await("it is back", `document.querySelectorAll("#rows .good").length === 3`)
	b.mustBeQuiet(nodes[0])
}

// TestUIPaint: until something is painted, the browser has loaded less than 100 KB in all,
// before they are decompressed or after. It says how soon that is, of a node that has
// nothing else to do: the first time, when the browser has just been started, and then
// anew each time. docs/BENCHMARKS.md has the figures.
func TestUIPaint(t *testing.T) {
	b := startBrowser(t)
	p := serve(t, nil)
	b.screen(1280, 900, "light")
	b.call("Network.setCacheDisabled", map[string]any{"cacheDisabled": true}, nil)
	var paints []float64
	for i := range 11 {
		b.visit(fmt.Sprintf("http://%s/ui?%d", p.address, i))
		b.await("the page is painted", fmt.Sprintf(`location.search === "?%d" && performance.getEntriesByName("first-contentful-paint").length === 1`, i))
		var paint float64
		b.eval(`performance.getEntriesByName("first-contentful-paint")[0].startTime`, &paint)
		paints = append(paints, paint)
		var weight struct{ Things, Sent, Plain int }
		b.eval(`(() => {
			const all = [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")], sum = (of) => all.reduce((n, e) => n + e[of], 0);
			return { things: all.length, sent: sum("transferSize"), plain: sum("decodedBodySize") };
		})()`, &weight)
		if weight.Things == 0 || weight.Sent == 0 || weight.Sent >= 100_000 || weight.Plain >= 100_000 {
			t.Errorf("the browser has loaded %+v", weight)
		}
		if i == 0 {
			t.Logf("loaded: %+v", weight)
		}
	}
	again := slices.Sorted(slices.Values(paints[1:]))
	t.Logf("first paint after %.0f ms in a browser just started, then after %.0f (%.0f to %.0f) of ten", paints[0], again[5], again[0], again[9])
}

// TestUIWeight: the page is one answer, small, with everything in it, which nothing
// else can add to.
func TestUIWeight(t *testing.T) {
	p := serve(t, nil)
	weigh := func(path, encoding string) (n int, text string, header http.Header) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+p.address+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Accept-Encoding", encoding)
		response, err := http.DefaultTransport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = response.Body.Close() }()
		body, err := io.ReadAll(response.Body)
		if err != nil || response.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s, %v", path, response.Status, err)
		}
		if encoding == "gzip" {
			r, err := gzip.NewReader(strings.NewReader(string(body)))
			if err != nil {
				t.Fatal(err)
			}
			plain, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			return len(body), string(plain), response.Header
		}
		return len(body), string(body), response.Header
	}
	plain, page, header := weigh("/ui", "identity")
	small, same, _ := weigh("/ui", "gzip")
	t.Logf("/ui: %d bytes, %d compressed", plain, small)
	if page != same || plain > 60_000 || small > 20_000 {
		t.Errorf("/ui has %d bytes, %d compressed; the same: %t", plain, small, page == same)
	}
	readme, err := os.ReadFile(filepath.Join(repository(t), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	if said := fmt.Sprintf("one file of %d KB, %d KB as it is sent", (plain+500)/1000, (small+500)/1000); !strings.Contains(strings.ReplaceAll(string(readme), "\n", " "), said) {
		t.Errorf("the README does not say %q", said)
	}
	policy := header.Get("Content-Security-Policy")
	for _, part := range []string{"default-src 'none'", "script-src 'sha256-", "style-src 'sha256-", "connect-src 'self'", "frame-ancestors 'none'"} {
		if !strings.Contains(policy, part) || strings.Contains(policy, "unsafe") {
			t.Errorf("the policy is %q", policy)
		}
	}
	for _, outside := range []string{"http://", "https://", "//cdn", "@import", "url("} {
		if at := strings.Index(strings.ReplaceAll(page, "http://www.w3.org/2000/svg", ""), outside); at >= 0 {
			t.Errorf("the page has %s in it", outside)
		}
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+p.address+"/ui", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("If-None-Match", header.Get("ETag"))
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusNotModified {
		t.Errorf("the page that is known already is answered %s", response.Status)
	}
}

// TestUIToken: where the node wants a token, the page asks for it, uses it for figures
// and keys, and keeps it in its tab.
func TestUIToken(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	const token, reader = "a-token-of-some-length", "one-that-may-only-read"
	p := serve(t, []string{"SMACHE_TOKEN=" + token, "SMACHE_READ_TOKEN=" + reader})
	b.screen(360, 740, "dark")
	b.visit("http://" + p.address + "/ui")
	b.await("it asks for a token, and is ready to take it", `!document.querySelector("#token").hidden && document.activeElement.name === "token"`)
	b.shoot("token")
	b.mustBeReadable()
	b.enter("another-that-nobody-knows")
	b.press("Enter")
	b.await("it asks again", `!document.querySelector("#token").hidden && document.activeElement.value === ""`)
	b.enter(reader)
	b.press("Enter")
	b.await("there are figures", `document.querySelector("#health").innerText === "One node, serving" && document.querySelector("#token").hidden && document.querySelector("#trouble").hidden`)
	b.eval(`(() => { const form = document.querySelector("#write"); form.elements.key.value = "k"; form.querySelector("button").click(); })()`, nil)
	b.await("the token does not suffice to write, which is said", `/Not written: this token may only read/.test(document.querySelector("#written").innerText)`)
	b.await("another is asked for", `!document.querySelector("#token").hidden`)
	b.eval(`document.querySelector("#token input").focus()`, nil)
	b.enter(token)
	b.press("Enter")
	b.eval(`document.querySelector("#write button").click()`, nil)
	b.await("a key is written", `/is written/.test(document.querySelector("#written").innerText)`)
	var kept string
	if b.eval(`sessionStorage.getItem("token") + " " + JSON.stringify(localStorage) + document.cookie`, &kept); kept != token+" {}" {
		t.Errorf("kept is %s", kept)
	}
	for _, link := range []struct{ path, has string }{{"metrics", "smache_entries 1"}, {"openapi.json", `"openapi"`}} {
		b.visit("http://" + p.address + "/ui")
		b.await("the page has figures", `document.querySelector("#health").innerText === "One node, serving"`)
		b.eval(fmt.Sprintf(`document.querySelector("footer a[href='%s']").click()`, link.path), nil)
		b.await("the link leads where the token is needed", fmt.Sprintf(`document.contentType === "text/plain" && document.body.innerText.includes(%q)`, link.has))
	}
	for _, text := range b.errors() {
		if !strings.Contains(text, "401 (Unauthorized)") && !strings.Contains(text, "403 (Forbidden)") {
			t.Errorf("the page: %s", text)
		}
	}
}
