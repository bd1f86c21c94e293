package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// curl stands in for curl where there is none: it knows the options that the
// README and the scripts use, and refuses all others.
func curl(args []string, stdout, stderr io.Writer) int {
	err := (&curlCall{method: http.MethodGet, stdout: stdout}).run(args)
	var status curlStatus
	switch {
	case errors.As(err, &status):
		fmt.Fprintln(stderr, "curl:", err)
		return 22
	case err != nil:
		fmt.Fprintln(stderr, "curl:", err)
		return 7
	}
	return 0
}

// curlStatus is a status that --fail-with-body makes an error.
type curlStatus int

func (s curlStatus) Error() string { return fmt.Sprintf("the server answered %d", int(s)) }

type curlCall struct {
	method, target string
	headers        []string
	body           []string
	query          []string
	asQuery        bool
	withHead       bool
	failing        bool
	stdout         io.Writer
}

func (c *curlCall) run(args []string) error {
	if err := c.parse(args); err != nil {
		return err
	}
	if !strings.Contains(c.target, "://") {
		c.target = "http://" + c.target
	}
	u, err := url.Parse(c.target)
	if err != nil {
		return err
	}
	body := strings.Join(c.body, "&")
	if c.asQuery {
		u.RawQuery, body = strings.Join(append(c.query, c.body...), "&"), ""
	}
	request := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: curl\r\nAccept: */*\r\n", c.method, u.RequestURI(), u.Host)
	for _, h := range c.headers {
		request += h + "\r\n"
	}
	if body != "" {
		request += fmt.Sprintf("Content-Length: %d\r\n", len(body))
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, request+"\r\n"+body); err != nil {
		return err
	}
	return c.print(conn)
}

// print reads the answer, keeping its head as it came.
func (c *curlCall) print(conn io.Reader) error {
	var head strings.Builder
	reader := bufio.NewReader(conn)
	for {
		line, err := reader.ReadString('\n')
		if err != nil {
			return err
		}
		head.WriteString(line)
		if line == "\r\n" {
			break
		}
	}
	response, err := http.ReadResponse(bufio.NewReader(io.MultiReader(strings.NewReader(head.String()), reader)),
		&http.Request{Method: c.method})
	if err != nil {
		return err
	}
	if c.withHead {
		if _, err := io.WriteString(c.stdout, head.String()); err != nil {
			return err
		}
	}
	if _, err := io.Copy(c.stdout, response.Body); err != nil {
		return err
	}
	if c.failing && response.StatusCode >= 400 {
		return curlStatus(response.StatusCode)
	}
	return nil
}

// curlLong gives the short form of the long options, and which take a value.
var (
	curlLong = map[string]string{
		"--silent": "-s", "--show-error": "-S", "--include": "-i", "--head": "-I", "--request": "-X",
		"--header": "-H", "--data": "-d", "--data-binary": "-d", "--get": "-G",
		"--data-urlencode": "urlencode", "--json": "json", "--fail-with-body": "fail",
	}
	curlTakes = "-X -H -d urlencode json"
)

func (c *curlCall) parse(args []string) error {
	for i := 0; i < len(args); i++ {
		options := []string{args[i]}
		switch {
		case !strings.HasPrefix(args[i], "-"):
			c.target = args[i]
			continue
		case strings.HasPrefix(args[i], "--"):
			options[0] = curlLong[args[i]]
		default: // -si is -s -i
			options = nil
			for _, letter := range args[i][1:] {
				options = append(options, "-"+string(letter))
			}
		}
		for _, option := range options {
			text := ""
			if option != "" && strings.Contains(curlTakes, option) {
				if i++; i == len(args) {
					return fmt.Errorf("%s needs a value", option)
				}
				text = args[i]
			}
			if !c.apply(option, text) {
				return fmt.Errorf("the stand-in for curl does not know %s", args[i])
			}
		}
	}
	return nil
}

func (c *curlCall) apply(option, text string) bool {
	switch option {
	case "-s", "-S":
	case "-i":
		c.withHead = true
	case "-I":
		c.method, c.withHead = http.MethodHead, true
	case "-X":
		c.method = text
	case "-H":
		c.headers = append(c.headers, text)
	case "-G":
		c.method, c.asQuery = http.MethodGet, true
	case "urlencode":
		name, value, _ := strings.Cut(text, "=")
		c.query = append(c.query, name+"="+url.QueryEscape(value))
	case "json":
		c.headers = append(c.headers, "Content-Type: application/json", "Accept: application/json")
		c.method, c.body = http.MethodPost, append(c.body, text)
	case "-d":
		if c.method == http.MethodGet && !c.asQuery {
			c.method = http.MethodPost
		}
		c.body = append(c.body, text)
	case "fail":
		c.failing = true
	default:
		return false
	}
	return true
}
