package main

import (
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// reloadEvery is the pause between two looks at whether a file has changed. To look
// is cheaper and surer than to be told by the system, which watches what a name
// stood for, while certificates are mostly renewed by moving names.
const reloadEvery = 5 * time.Second

// A reload is something that a running node reads again: when one of its files has
// changed, and on SIGHUP.
type reload struct {
	what  string
	paths []string      // empty: only on SIGHUP
	apply func() error  // an error leaves what was there
	seen  []fs.FileInfo // of paths, when they were last looked at; nil: not there
}

// newReload makes a reload, as of now: it is to be made before its files are first
// read, so that no change is missed.
func newReload(what string, apply func() error, paths ...string) *reload {
	r := &reload{what: what, apply: apply}
	for _, path := range paths {
		if path != "" {
			r.paths = append(r.paths, path)
		}
	}
	r.seen = make([]fs.FileInfo, len(r.paths))
	r.changed()
	return r
}

// changed reports whether a file is another one than when this was last asked.
func (r *reload) changed() bool {
	changed := false
	for i, path := range r.paths {
		info, err := os.Stat(path)
		if err != nil {
			info = nil
		}
		if was := r.seen[i]; (was == nil) != (info == nil) ||
			was != nil && (!os.SameFile(was, info) || !was.ModTime().Equal(info.ModTime()) || was.Size() != info.Size()) {
			changed = true
		}
		r.seen[i] = info
	}
	return changed
}

// warnOfCopies says which files lie in dir, where systemd puts copies of those of
// LoadCredential=. It makes them when it starts the node, and never again: whoever
// renews a certificate would wait in vain.
func warnOfCopies(reloads []*reload, dir string, log *slog.Logger) {
	if dir == "" {
		return
	}
	for _, one := range reloads {
		for _, path := range one.paths {
			if strings.HasPrefix(filepath.Clean(path), filepath.Clean(dir)+"/") {
				log.Warn("the service manager has made a copy of this file (LoadCredential=), and makes no other until the node is restarted: a new one will not be seen; see SupplementaryGroups= in docs/OPERATIONS.md",
					"what", one.what, "file", path)
			}
		}
	}
}

// A reloader reads again what has changed, until it is stopped.
type reloader struct {
	reloads []*reload
	log     *slog.Logger
	count   func(error) // is told how each reload went
	asked   func()      // if set, is called when a signal asks for all; done, when that is over
	done    func()
}

// run looks at each tick, and does all at each signal, until stop is closed. What
// cannot be used is reported once and left as it was until it changes again.
func (r *reloader) run(stop <-chan struct{}, ticks <-chan time.Time, signals <-chan os.Signal) {
	for {
		select {
		case <-stop:
			return
		case <-ticks:
			r.all(false)
		case <-signals:
			if r.asked != nil {
				r.asked()
			}
			r.all(true)
			if r.done != nil {
				r.done()
			}
		}
	}
}

func (r *reloader) all(asked bool) {
	for _, one := range r.reloads {
		if changed := one.changed(); !changed && !asked {
			continue
		}
		err := one.apply()
		r.count(err)
		if err != nil {
			r.log.Error("cannot be read again; what was read before stays in use", "what", one.what, "error", err)
			continue
		}
		r.log.Info("read again", "what", one.what)
	}
	if asked && len(r.reloads) == 0 {
		r.log.Info("SIGHUP: there is nothing to read again")
	}
}
