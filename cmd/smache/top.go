package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/smache/smache/proto"
)

// errNoTerminal says that there is nobody to look at a changing picture.
var errNoTerminal = errors.New("this needs a terminal; for logs there is smache status --watch")

// runTop shows the cluster live in a terminal.
func runTop(inv invocation) int {
	cfg := newClientConfig()
	every := durationValue(time.Second)
	settings := append(cfg.settings(), setting{
		name: "every", unit: "DURATION", value: &every, flag: true, about: "How often to ask; the figures are of each second",
	})
	if _, code, ok := parseCommand(inv, "top", settings, 0, 0); !ok {
		return code
	}
	c, err := newClient(cfg)
	if err != nil {
		return usageError(inv, "top", err)
	}
	in, inOK := inv.stdin.(*os.File)
	out, outOK := inv.stdout.(*os.File)
	if !inOK || !outOK || !term.IsTerminal(int(in.Fd())) || !term.IsTerminal(int(out.Fd())) {
		return usageError(inv, "top", errNoTerminal)
	}
	before, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return usageError(inv, "top", fmt.Errorf("%w: %w", errNoTerminal, err))
	}
	ctx, cancel := signal.NotifyContext(inv.ctx, syscall.SIGTERM, os.Interrupt)
	defer cancel()
	t := &top{
		client: c, every: max(time.Duration(every), 100*time.Millisecond), out: out,
		view: topView{colors: inv.env["NO_COLOR"] == "" && inv.env["TERM"] != "dumb", order: orderRequests},
	}
	t.write(enterScreen)
	t.run(ctx, keysOf(in), resizes(ctx))
	t.write(leaveScreen)
	if err := term.Restore(int(in.Fd()), before); err != nil {
		fmt.Fprintf(inv.stderr, "smache top: the terminal could not be put back, see reset(1): %v\n", err)
		return exitNo
	}
	return exitOK
}

// What the terminal is told: another screen to draw on, no cursor and no breaking of
// lines; and all of that back (ECMA-48, and xterm's control sequences).
const (
	enterScreen = "\x1b[?1049h\x1b[?25l\x1b[?7l"
	leaveScreen = "\x1b[?7h\x1b[?25h\x1b[?1049l"
)

// A top is the program while it runs. All of it belongs to the goroutine of run.
type top struct {
	client *client
	every  time.Duration
	out    *os.File
	view   topView
}

// news is what a question has led to: figures, or what to say in their place.
type news struct {
	body    *statsBody
	trouble string
}

// run draws until q is pressed or the context ends.
func (t *top) run(ctx context.Context, keys <-chan byte, resized <-chan os.Signal) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := make(chan news, 1)
	ask := func() {
		body, got, err := askStats(ctx, t.client, topSamples)
		n := news{body: body}
		switch {
		case err != nil:
			n.trouble = err.Error()
		case body == nil:
			n.trouble = fmt.Sprintf("%s answers %d: is it a node, and does it want a token?", t.client.base, got.status)
		}
		answers <- n
	}
	go ask()
	pause := time.NewTimer(t.every)
	pause.Stop()
	for {
		t.draw()
		select {
		case <-ctx.Done():
			return
		case key, ok := <-keys:
			if !ok || !t.view.press(key) {
				return
			}
		case <-resized:
		case n := <-answers:
			t.view.trouble = n.trouble
			if n.body != nil {
				t.view.body, t.view.at = n.body, time.Now()
			}
			pause.Reset(t.every)
		case <-pause.C:
			go ask() // one at a time: the next when this one is answered
		}
	}
}

// topSamples is how many samples are asked for: as many as the longest sparkline
// shows.
const topSamples = min(120, proto.MaxSamples)

// draw shows the picture, in one write: nobody sees half of it.
func (t *top) draw() {
	width, height, err := term.GetSize(int(t.out.Fd()))
	if err != nil || width <= 0 || height <= 0 {
		width, height = 80, 24
	}
	text := "\x1b[H"
	for i, line := range t.view.lines(width, height) {
		if i > 0 {
			text += "\r\n"
		}
		text += line + "\x1b[0m\x1b[K"
	}
	t.write(text + "\x1b[J")
}

// write is for the terminal. If it is gone, reading keys ends the program.
func (t *top) write(text string) { _, _ = t.out.WriteString(text) }

// keysOf gives what is typed, until there is no more. Its goroutine stays in its read,
// and ends with the process.
func keysOf(in *os.File) <-chan byte {
	keys := make(chan byte)
	go func() {
		defer close(keys)
		var one [1]byte
		for {
			n, err := in.Read(one[:])
			if err != nil {
				return
			}
			if n == 1 {
				keys <- one[0]
			}
		}
	}()
	return keys
}
