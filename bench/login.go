package bench

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// A Login is what connections to redis begin with, and requests over HTTP carry. It does
// not print its password.
type Login struct {
	// User is that of AUTH or Basic, where it has no colon; empty: there is a password
	// only, which is that of redis's default user.
	User string
	// Password is that of AUTH or Basic; empty: there is neither.
	Password string
	// Database is that of SELECT, of redis only; 0: there is no SELECT.
	Database uint32
}

// String and GoString are what formats of package fmt print.
func (l Login) String() string   { return "bench.Login" }
func (l Login) GoString() string { return "bench.Login" }

// parseLogin reads what a redis URL says of the login.
func (l *Login) parseLogin(user *url.Userinfo, path string) bool {
	if !l.parseUser(user) {
		return false
	}
	if path == "" {
		return true
	}
	n, err := strconv.ParseUint(path[1:], 10, 31)
	l.Database = uint32(n)
	return err == nil
}

// parseUser reads user and password of a URL, if there are any.
func (l *Login) parseUser(user *url.Userinfo) bool {
	if user == nil {
		return true
	}
	l.User = user.Username()
	l.Password, _ = user.Password()
	return l.Password != "" // a user without a password is a typing error
}

// validBasic reports whether Basic can carry the login (RFC 7617, section 2).
func validBasic(l Login) bool { return !strings.Contains(l.User, ":") }

// allHeaders are Headers, and the one that carries the login unless they have it.
func (c *WorkloadConfig) allHeaders() []string {
	l := &c.Endpoint.Login
	if l.Password == "" || c.hasHeader("authorization") {
		return c.Headers
	}
	basic := "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(l.User+":"+l.Password))
	return append([]string{basic}, c.Headers...)
}

// hideUser replaces what may be user and password in a URL, well-formed or not.
func hideUser(text string) string {
	at := strings.LastIndexByte(text, '@')
	if at < 0 {
		return text
	}
	from := 0
	if i := strings.Index(text[:at], "://"); i >= 0 {
		from = i + len("://")
	}
	return text[:from] + "***" + text[at:]
}

// A respSession is the Reader of RESP where connections begin with AUTH or SELECT.
type respSession struct {
	replyParser
	login Login

	left  int // commands of the login that are not answered
	reply []byte
}

func newRESPSession(login Login) *respSession {
	return &respSession{replyParser: replyParser{grammar: new(respGrammar)}, login: login}
}

func (p *respSession) begin() []byte {
	p.Reset()
	p.left, p.reply = 0, p.reply[:0]
	var t template
	add := func(words ...string) {
		t.add("*" + strconv.Itoa(len(words)) + "\r\n")
		for _, word := range words {
			addBulk(&t, word)
		}
		p.left++
	}
	switch l := &p.login; {
	case l.User != "":
		add("AUTH", l.User, l.Password)
	case l.Password != "":
		add("AUTH", l.Password)
	}
	if p.login.Database > 0 {
		add("SELECT", strconv.FormatUint(uint64(p.login.Database), 10))
	}
	return t.text
}

func (p *respSession) greet(b []byte) (send []byte, ready bool, err error) {
	for {
		event, piece, rest, err := p.Next(b)
		if err != nil {
			return nil, false, err
		}
		p.reply = append(p.reply, piece...)
		switch {
		case event == EventDone && string(p.reply) != "+OK\r\n":
			return nil, false, fmt.Errorf("the server refuses the login: %s", errorCode(p.reply))
		case event == EventDone:
			p.Reset()
			p.reply = p.reply[:0]
			if p.left--; p.left == 0 {
				if len(rest) > 0 {
					return nil, false, fmt.Errorf("%w: more answers than commands", ErrMalformed)
				}
				return nil, true, nil
			}
		}
		if len(rest) == 0 {
			return nil, false, nil
		}
		b = rest
	}
}

// errorCode is the first word of an error. What follows may hold what was sent, and
// with it the password.
func errorCode(reply []byte) string {
	word := reply
	for i, c := range word {
		if i == 0 && c == '-' {
			continue
		}
		if c < 'A' || c > 'Z' {
			word = word[:i]
			break
		}
	}
	if len(word) < 2 || len(word) > 16 {
		return "it does not say why"
	}
	return string(word[1:])
}

// seal and idle: nothing is sealed, there are no signs of life, and nothing comes that
// was not asked for.
func (p *respSession) seal(request []byte) ([]byte, error) { return request, nil }

func (p *respSession) idle([]byte) error {
	return fmt.Errorf("%w: an answer that nobody asked for", ErrMalformed)
}
