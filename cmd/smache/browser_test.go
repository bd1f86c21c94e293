package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A browser is a Chromium without a window that shows one page. It is spoken to over
// two pipes in the Chrome DevTools Protocol, JSON with a zero byte behind each
// message, https://chromedevtools.github.io/devtools-protocol/: a few calls of it are
// all that the tests need, and a library would bring hundreds of packages.
type browser struct {
	t       *testing.T
	to      *os.File
	session string
	ended   chan struct{}

	mu      sync.Mutex
	id      int
	waiting map[int]chan devtoolsMessage
	said    []string // errors of the page, of its console and of what it loads
	loads   []string // what it has asked for
}

// A devtoolsMessage is an answer, if it has an ID, or an event.
type devtoolsMessage struct {
	ID      int             `json:"id,omitempty"`
	Session string          `json:"sessionId,omitempty"`
	Method  string          `json:"method,omitempty"`
	Params  json.RawMessage `json:"params,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   *devtoolsError  `json:"error,omitempty"`
}

// A devtoolsError is why the browser did not do what it was asked for.
type devtoolsError struct {
	Message string `json:"message"`
}

func (e devtoolsError) Error() string { return e.Message }

// startBrowser runs Chromium until the test ends. Where there is none the test is
// skipped, but in CI, which has to install one.
func startBrowser(t *testing.T) *browser {
	t.Helper()
	program := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			program = found
			break
		}
	}
	if program == "" {
		if os.Getenv("CI") != "" {
			t.Fatal("there is no Chromium; .ci/run has to install one")
		}
		t.Skip("there is no Chromium")
	}
	theirIn, ourOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	ourIn, theirOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "smache-browser-")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "--headless=new", "--remote-debugging-pipe", "--user-data-dir="+dir,
		"--no-sandbox", "--hide-scrollbars", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--no-default-browser-check",
		"--disable-background-networking", "--disable-component-update", "--disable-extensions", "--disable-sync", "--mute-audio", "about:blank")
	cmd.ExtraFiles = []*os.File{theirIn, theirOut} // 3 and 4 there
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_, _ = theirIn.Close(), theirOut.Close()
	b := &browser{t: t, to: ourOut, ended: make(chan struct{}), waiting: map[int]chan devtoolsMessage{}}
	go b.listen(ourIn)
	t.Cleanup(func() {
		_ = ourOut.Close() // which ends it
		exited := make(chan struct{})
		go func() {
			_ = cmd.Wait() // how it ended does not matter
			close(exited)
		}()
		select {
		case <-exited:
		case <-time.After(patience):
			_ = cmd.Process.Kill()
			<-exited
		}
		_ = ourIn.Close()
		<-b.ended
		_ = os.RemoveAll(dir)
	})
	b.open()
	return b
}

// open makes the page that everything later is about.
func (b *browser) open() {
	b.t.Helper()
	var target struct{ TargetID string }
	b.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	b.mu.Lock()
	b.session = attached.SessionID
	b.mu.Unlock()
	for _, domain := range []string{"Page", "Runtime", "Log", "Network"} {
		b.call(domain+".enable", nil, nil)
	}
}

// listen takes what the browser says, until it ends.
func (b *browser) listen(from io.Reader) {
	defer close(b.ended)
	r := bufio.NewReader(from)
	for {
		text, err := r.ReadBytes(0)
		if err != nil {
			return
		}
		var m devtoolsMessage
		if json.Unmarshal(bytes.TrimSuffix(text, []byte{0}), &m) != nil {
			continue
		}
		b.mu.Lock()
		if to := b.waiting[m.ID]; m.ID != 0 && to != nil {
			delete(b.waiting, m.ID)
			to <- m
		}
		switch m.Method {
		case "Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled":
			b.said = append(b.said, fmt.Sprintf("%s: %.500s", m.Method, m.Params))
		case "Network.requestWillBeSent":
			var sent struct{ Request struct{ URL string } }
			if json.Unmarshal(m.Params, &sent) == nil {
				b.loads = append(b.loads, sent.Request.URL)
			}
		}
		b.mu.Unlock()
	}
}

// call has the browser do something, and waits until it has.
func (b *browser) call(method string, params, result any) {
	b.t.Helper()
	if err := b.try(method, params, result); err != nil {
		b.t.Fatalf("%s: %v", method, err)
	}
}

// try is call, but what the browser refuses is an error of the type devtoolsError.
func (b *browser) try(method string, params, result any) error {
	if params == nil {
		params = struct{}{}
	}
	b.mu.Lock()
	b.id++
	m := map[string]any{"id": b.id, "method": method, "params": params}
	if b.session != "" {
		m["sessionId"] = b.session
	}
	answer := make(chan devtoolsMessage, 1)
	b.waiting[b.id] = answer
	b.mu.Unlock()
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if _, err := b.to.Write(append(text, 0)); err != nil {
		return err
	}
	select {
	case m := <-answer:
		if m.Error != nil {
			return *m.Error
		}
		if result == nil {
			return nil
		}
		return json.Unmarshal(m.Result, result)
	case <-b.ended:
		return errors.New("the browser has ended")
	case <-time.After(patience):
		return fmt.Errorf("no answer within %v", patience)
	}
}

// visit goes to a page, and waits until it is there.
func (b *browser) visit(url string) {
	b.t.Helper()
	b.call("Page.navigate", map[string]any{"url": url}, nil)
	b.await("the page has loaded", `location.href !== "about:blank" && document.readyState === "complete"`)
}

// eval gives the value of an expression in the page.
func (b *browser) eval(expression string, result any) {
	b.t.Helper()
	if err := b.tryEval(expression, result); err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
}

// tryEval is eval, but that the browser could not evaluate is a devtoolsError.
func (b *browser) tryEval(expression string, result any) error {
	var answer struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails json.RawMessage
	}
	err := b.try("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true}, &answer)
	if err != nil {
		return err
	}
	if answer.ExceptionDetails != nil {
		return fmt.Errorf("%s", answer.ExceptionDetails)
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(answer.Result.Value, result); err != nil {
		return fmt.Errorf("it is %s: %w", answer.Result.Value, err)
	}
	return nil
}

// text gives the text of an element as it is shown.
func (b *browser) text(selector string) (text string) {
	b.t.Helper()
	b.eval(fmt.Sprintf("(document.querySelector(%q) || {innerText: ''}).innerText", selector), &text)
	return text
}

// await waits until an expression is true in the page. A page that goes elsewhere takes
// what is evaluated in it along ("Inspected target navigated or closed"): then it is
// evaluated in the next one.
func (b *browser) await(what, expression string) {
	b.t.Helper()
	defer func() {
		if b.t.Failed() {
			b.t.Logf("the page: %s\nit said: %s", b.text("body"), strings.Join(b.errors(), "\n"))
		}
	}()
	poll(b.t, what, func() (is bool) {
		var gone devtoolsError
		if err := b.tryEval("Boolean("+expression+")", &is); err != nil && !errors.As(err, &gone) {
			b.t.Fatalf("%s: %v", expression, err)
		}
		return is
	})
}

// press presses keys, one after the other, as a keyboard does.
func (b *browser) press(keys ...string) {
	b.t.Helper()
	codes := map[string]int{"Tab": 9, "Enter": 13, "Escape": 27, " ": 32, "ArrowLeft": 37, "ArrowRight": 39}
	for _, key := range keys {
		event := map[string]any{"type": "keyDown", "key": key, "code": strings.ReplaceAll(key, " ", "Space"), "windowsVirtualKeyCode": codes[key]}
		switch key {
		case "Enter":
			event["text"] = "\r"
		case " ":
			event["text"] = " "
		case "Shift+Tab":
			event["key"], event["code"], event["windowsVirtualKeyCode"], event["modifiers"] = "Tab", "Tab", 9, 8
		}
		b.call("Input.dispatchKeyEvent", event, nil)
		event["type"] = "keyUp"
		delete(event, "text")
		b.call("Input.dispatchKeyEvent", event, nil)
	}
}

// enter types a text into what has the focus.
func (b *browser) enter(text string) {
	b.t.Helper()
	b.call("Input.insertText", map[string]any{"text": text}, nil)
}

// screen sets the size of the window and the theme of the system.
func (b *browser) screen(width, height int, theme string) {
	b.t.Helper()
	b.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}, nil)
	b.call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": theme}}}, nil)
}

// shoot keeps a picture of the whole page in the directory that SCREENSHOTS names, if
// it names one: for people to look at.
func (b *browser) shoot(name string) {
	b.t.Helper()
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		return
	}
	var shot struct{ Data string }
	b.call("Page.captureScreenshot", map[string]any{"format": "png", "captureBeyondViewport": true}, &shot)
	picture, err := base64.StdEncoding.DecodeString(shot.Data)
	if err == nil {
		err = os.WriteFile(dir+"/"+name+".png", picture, 0o644)
	}
	if err != nil {
		b.t.Error(err)
	}
}

// errors gives what has gone wrong in the page so far.
func (b *browser) errors() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.said)
}

// excuse takes one error back that was meant to be.
func (b *browser) excuse(text string) {
	b.t.Helper()
	poll(b.t, "the error "+text, func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		at := slices.IndexFunc(b.said, func(said string) bool { return strings.Contains(said, text) })
		if at >= 0 {
			b.said = slices.Delete(b.said, at, at+1)
		}
		return at >= 0
	})
}

// loaded gives what the page has asked for so far.
func (b *browser) loaded() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.loads)
}
