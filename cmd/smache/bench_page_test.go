package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

// The page of --html fits a phone, in both themes: nothing is wider than the window, texts
// can be told from what is behind them, and the charts are as wide as there is room.
func TestBenchPageOnPhone(t *testing.T) {
	b := startBrowser(t)
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1)%100 == 0 { // a sample without a space to break it at
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, strings.Repeat("unbroken", 40))
			return
		}
		_, _ = io.WriteString(w, "{}")
	}))
	defer server.Close()
	dir := t.TempDir()
	old, page := filepath.Join(dir, "old.json"), filepath.Join(dir, "page.html")
	args := []string{"http", "--url", server.URL + "/" + strings.Repeat("long", 40) + "?key={key}", "--clients", "4", "--requests", "400",
		"--rounds", "5", "--label", strings.Repeat("label", 20), "--header", "X-Long-" + strings.Repeat("x", 60) + ": 1"}
	_, stdout, _ := runBenchTest(t.Context(), append(args, "--json")...)
	if err := os.WriteFile(old, []byte(stdout), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, stderr := runBenchTest(t.Context(), append(args, "--compare", old, "--html", page)...); !strings.Contains(stderr, "failures") {
		t.Fatal(stderr)
	}
	b.visit("file://" + page)
	for _, theme := range []string{"light", "dark"} {
		for _, width := range []int{1280, 360, 320} {
			b.screen(width, 740, theme)
			b.await(fmt.Sprintf("the page fits %d", width), fmt.Sprintf(`innerWidth === %d && document.documentElement.scrollWidth <= innerWidth`, width))
			b.mustBeReadable()
			var wide []string
			b.eval(`[...document.querySelectorAll("body *")].filter((e) => e.getClientRects().length && e.getBoundingClientRect().right > innerWidth + 1)
				.map((e) => e.tagName + " " + e.textContent.trim().slice(0, 40))`, &wide)
			if len(wide) > 0 {
				t.Errorf("wider than %d: %q", width, wide)
			}
			var charts []float64
			b.eval(`[...document.querySelectorAll("svg")].map((e) => e.getBoundingClientRect().width / innerWidth)`, &charts)
			if width < 500 && (len(charts) != 4 || slices.Min(charts) < .75) {
				t.Errorf("the charts have %v of %d", charts, width)
			}
			b.shoot(fmt.Sprintf("bench-%s-%d", theme, width))
		}
	}
	if loaded := b.loaded(); len(loaded) != 1 || len(b.errors()) > 0 {
		t.Errorf("it loads %q, and says %q", loaded, b.errors())
	}
}
