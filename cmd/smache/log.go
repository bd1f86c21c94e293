package main

import (
	"io"
	"log/slog"
	"os"
)

// newLogger makes the log of a node, which goes through a queue to w. Format is text,
// json or auto: text on a terminal, JSON otherwise.
func newLogger(w io.Writer, format, level string) (*slog.Logger, *logQueue) {
	var least slog.Level
	if err := least.UnmarshalText([]byte(level)); err != nil {
		panic("BUG: a log level that the settings let through: " + err.Error())
	}
	options, queue := &slog.HandlerOptions{Level: least}, newLogQueue(w)
	var handler slog.Handler = slog.NewJSONHandler(queue, options)
	if format == "text" || format == "auto" && isTerminal(w) {
		handler = slog.NewTextHandler(queue, options)
	}
	log := slog.New(handler)
	queue.tell = func(dropped uint64) {
		log.Warn("lines of this log were dropped: whoever reads it was too slow", "lines", dropped)
	}
	return log, queue
}

// isTerminal reports whether w is a character device, which a terminal is; the
// only common other one, the null device, does not mind.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
