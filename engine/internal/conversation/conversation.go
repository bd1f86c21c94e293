// Package conversation plays recorded conversations over HTTP: requests as they go
// over the wire and the answers to them, over one connection to a fresh server. It
// is for tests: of the API alone, and of a whole node.
//
// A conversation is a text file:
//
//	= title          a new exchange
//	@setting value   a setting of the server, before the first exchange, or of what
//	                 is behind it, before the exchange that it stands in
//	> line           a line of the request; lines end in CRLF. Behind the empty
//	                 line comes the body, joined by LF. {len} is its length.
//	< line           the status, then headers, then, behind an empty line, the body
//
// In an answer … stands for any text, and "Name: (none)" for a header that is not
// there. Headers that are not listed are not looked at. «name» stands for an ETag:
// the first answer that has it says which, and later answers must have the same, as
// must requests, which can name it only then.
package conversation

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// Setting is a line that begins with @.
type Setting struct{ Name, Value string }

// Exchange is a request and its answer.
type Exchange struct {
	// Place is the file and line that the exchange begins at.
	Place, Title string
	Settings     []Setting

	request, answer []string
}

// Parse reads the conversation in a file. The first exchange has the settings that
// stand before all others, and no request.
func Parse(file string) ([]Exchange, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	all := []Exchange{{Place: filepath.Base(file) + ":1", Title: "settings"}}
	for i, line := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
		kind, rest, _ := strings.Cut(line, " ")
		place := fmt.Sprintf("%s:%d", filepath.Base(file), i+1)
		last := &all[len(all)-1]
		switch {
		case kind == "=":
			all = append(all, Exchange{Place: place, Title: rest})
		case kind == "" || kind == "#":
		case kind[0] == '@':
			last.Settings = append(last.Settings, Setting{kind[1:], rest})
		case kind == ">":
			last.request = append(last.request, rest)
		case kind == "<":
			last.answer = append(last.answer, rest)
		default:
			return nil, fmt.Errorf("conversation: %s: %q", place, line)
		}
	}
	if len(all[0].request) > 0 || len(all) == 1 {
		return nil, fmt.Errorf("conversation: %s: it must begin with settings or a title", file)
	}
	return all, nil
}

// Expect has the answer be other than recorded: text in it is replaced. It reports
// whether the text is there.
func (x *Exchange) Expect(text, by string) bool {
	found := false
	for i, line := range x.answer {
		found = found || strings.Contains(line, text)
		x.answer[i] = strings.ReplaceAll(line, text, by)
	}
	return found
}

// tags are the ETags that names stand for.
type tags map[string]string

var tagName = regexp.MustCompile(`«(\w+)»`)

var errTag = errors.New("conversation: no answer has given this ETag yet")

// raw gives the request as it goes over the wire.
func (x *Exchange) raw(known tags) (string, error) {
	text := strings.Join(x.request, "\n")
	for _, m := range tagName.FindAllStringSubmatch(text, -1) {
		if known[m[1]] == "" {
			return "", fmt.Errorf("%w: %s", errTag, m[0])
		}
		text = strings.ReplaceAll(text, m[0], known[m[1]])
	}
	head, body, _ := strings.Cut(text, "\n\n")
	head = strings.TrimSuffix(head, "\n") // a request without a body
	body = strings.ReplaceAll(body, "␍", "\r")
	head = strings.ReplaceAll(head, "\n", "\r\n")
	return strings.ReplaceAll(head, "{len}", strconv.Itoa(len(body))) + "\r\n\r\n" + body, nil
}

// compare holds an answer against what it should be, and says where it differs.
func (x *Exchange) compare(known tags, got *answer) (problems []string) {
	if status := strconv.Itoa(got.status); status != x.answer[0] {
		problems = append(problems, fmt.Sprintf("status %s, should be %s", status, x.answer[0]))
	}
	body, inBody := []string(nil), false
	for _, line := range x.answer[1:] {
		switch {
		case inBody:
			body = append(body, line)
		case line == "":
			inBody = true
		default:
			name, value, _ := strings.Cut(line, ": ")
			have, ok := got.header[headerKey(name)]
			switch {
			case value == "(none)" && ok:
				problems = append(problems, fmt.Sprintf("%s is %q, should not be there", name, have))
			case value != "(none)" && (len(have) != 1 || !known.match(have[0], value)):
				problems = append(problems, fmt.Sprintf("%s is %q, should be %q", name, have, value))
			}
		}
	}
	if want := strings.Join(body, "\n"); inBody && !known.match(got.body, want) {
		problems = append(problems, fmt.Sprintf("body is\n\t%s\nshould be\n\t%s", got.body, want))
	}
	return problems
}

// special is what stands for other text in a pattern.
var special = regexp.MustCompile(`…|«\w+»`)

// match reports whether text is what pattern says, and notes the ETags that it is
// the first to have.
func (known tags) match(text, pattern string) bool {
	var expr strings.Builder
	expr.WriteString(`(?s)\A`)
	var fresh []string
	from := 0
	for _, at := range special.FindAllStringIndex(pattern, -1) {
		expr.WriteString(regexp.QuoteMeta(pattern[from:at[0]]))
		from = at[1]
		token := pattern[at[0]:at[1]]
		if token == "…" {
			expr.WriteString(`.*?`)
			continue
		}
		name := strings.Trim(token, "«»")
		if known[name] != "" {
			expr.WriteString(known[name])
			continue
		}
		fresh = append(fresh, name)
		expr.WriteString(`([0-9a-f]{16})`)
	}
	expr.WriteString(regexp.QuoteMeta(pattern[from:]) + `\z`)
	found := regexp.MustCompile(expr.String()).FindStringSubmatch(text)
	if found == nil {
		return false
	}
	for i, name := range fresh {
		known[name] = found[i+1]
	}
	return true
}

// headerKey is the form in which net/http keeps a header's name.
func headerKey(name string) string {
	parts := strings.Split(strings.ToLower(name), "-")
	for i, p := range parts {
		parts[i] = strings.ToUpper(p[:1]) + p[1:]
	}
	return strings.Join(parts, "-")
}
