package main

import (
	"fmt"
	"io"
	"strings"
)

// runMan prints the manual page, as troff.
func runMan(inv invocation) int {
	if _, code, ok := parseCommand(inv, "man", nil, 0, 0); !ok {
		return code
	}
	writeMan(inv.stdout)
	return exitOK
}

func writeMan(w io.Writer) {
	release := version
	if release == "" {
		release = "devel"
	}
	fmt.Fprintf(w, `.\" Printed by smache man: made of the tables that the program parses its flags by.
.TH SMACHE 1 "" "Smache %s" "Smache"
.SH NAME
smache \- a distributed cache of immutable JSON values behind an HTTP API
.SH SYNOPSIS
.B smache
.I COMMAND
[flags] [arguments]
.SH DESCRIPTION
Smache holds JSON values in memory, for data that is written often and lives
briefly. Nodes that share a secret are one cache: each holds a share of the keys,
and any of them answers for all. This one program is the node, its client and its
load generator.
.PP
.B smache serve
with no flag is a working node on 127.0.0.1:4000.
.SH COMMANDS
`, roff(release))
	for _, c := range described() {
		writeManCommand(w, &c)
	}
	fmt.Fprint(w, `.SH ENVIRONMENT
Each flag of
.B serve
has a variable, which is named with it; the flag wins. So have
.B \-\-server
and
.BR \-\-timeout .
.B PORT
changes the port of
.B \-\-listen
alone;
.B UPLINK_NODE
and
.B COOKIE
stand for
.B \-\-join
and
.BR \-\-secret .
.B GOMEMLIMIT
replaces the limit of the Go heap that follows from
.BR \-\-memory ,
.B GOMAXPROCS
the number of threads that run Go code at once.
.PP
Under systemd the node speaks the protocols of
.BR sd_notify (3)
and
.BR sd_listen_fds (3):
a socket that is passed to it is used in place of
.BR \-\-listen .
.SH FILES
.TP
.I /etc/smache/smache.env
Variables for the service of systemd; root alone may read it.
.TP
.I smache.service, smache.socket
The units. The socket has the address of the API.
.SH SIGNALS
SIGTERM and SIGINT stop a node in order: it hands over what it holds and finishes
the requests under way. A second one ends it at once.
.SH EXIT STATUS
`)
	for _, e := range exitMeanings {
		fmt.Fprintf(w, ".TP\n.B %d\n%s\n", e.code, roff(e.meaning))
	}
}

func writeManCommand(w io.Writer, c *describedCommand) {
	fmt.Fprintf(w, ".SS %s\n", roff(strings.TrimSpace("smache "+c.name+" "+c.args)))
	fmt.Fprintln(w, roff(strings.ToUpper(c.about[:1])+c.about[1:]+"."))
	for i := range c.settings {
		s := &c.settings[i]
		fmt.Fprintf(w, ".TP\n\\fB%s\\fR", roff("--"+s.name))
		if s.unit != "" {
			fmt.Fprintf(w, " \\fI%s\\fR", roff(s.unit))
		}
		if v := s.variable(); v != "" {
			fmt.Fprintf(w, ", %s", v)
		}
		if text := s.shown(); text != "" && !s.isSwitch() {
			fmt.Fprintf(w, " [%s]", roff(text))
		}
		fmt.Fprintf(w, "\n%s.\n", roff(s.about))
	}
}

// roff writes text so that troff shows it as it is, with what stands between
// backquotes in bold.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text)
	var b strings.Builder
	for i, part := range strings.Split(text, "`") {
		if i%2 == 1 {
			part = `\fB` + part + `\fR`
		}
		b.WriteString(part)
	}
	text = b.String()
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		text = `\&` + text
	}
	return text
}
