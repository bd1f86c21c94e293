package httpapi

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
)

// Token is a bearer token (RFC 6750) as a node keeps it: its SHA-256. The text is
// nowhere in memory once it is parsed, so that no dump or log can show it. The
// compiler lets nobody compare two with ==, or look one up in a map: that takes the
// longer, the more of them is alike.
type Token struct {
	_      [0]func()
	digest [sha256.Size]byte
}

// Tokens are the bearer tokens that a Server accepts. Without any, everybody may
// do everything.
type Tokens struct {
	// All are those that may do everything. At least one if there is any token:
	// a node that nobody may write to is a mistake.
	All []Token
	// Read are those that may only read.
	Read []Token
}

// The limits of tokens. A short one can be guessed; a long one does not fit into
// the headers.
const (
	minToken = 16
	maxToken = 512
	// MaxTokens is the most tokens of one kind: a rotation needs two.
	MaxTokens = 8
)

// The errors of tokens. None of them repeats what was given.
var (
	// ErrTokenForm says that a text is no token.
	ErrTokenForm = fmt.Errorf("httpapi: a token is %d to %d letters, digits or -._~+/, and perhaps = at its end", minToken, maxToken)
	// ErrTokenCount says that there is no token, or more than MaxTokens.
	ErrTokenCount = fmt.Errorf("httpapi: there must be 1 to %d tokens", MaxTokens)
	// ErrTokenRights says that there are tokens for reading, and none for all.
	ErrTokenRights = errors.New("httpapi: tokens for reading alone let nobody write")
)

// ParseToken takes a token as clients send it. The error is ErrTokenForm.
func ParseToken(text []byte) (Token, error) {
	body := bytes.TrimRight(text, "=")
	if len(text) < minToken || len(text) > maxToken || len(body) == 0 {
		return Token{}, ErrTokenForm
	}
	for _, c := range body {
		if !isTokenByte(c) {
			return Token{}, ErrTokenForm
		}
	}
	return Token{digest: sha256.Sum256(text)}, nil
}

// isTokenByte reports whether c may stand in a token: RFC 6750, b64token.
func isTokenByte(c byte) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		return true
	default:
		return bytes.IndexByte([]byte("-._~+/"), c) >= 0
	}
}

// TokenLines cuts the text of a file of tokens into them: one in each line. Space
// around them, empty lines and those that begin with # do not count. The tokens
// point into text and are not checked.
func TokenLines(text []byte) [][]byte {
	var lines [][]byte
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			lines = append(lines, line)
		}
	}
	return lines
}

// ParseTokens takes the text of a file of tokens. The errors are ErrTokenForm, with
// the place of the token in the file, and ErrTokenCount.
func ParseTokens(text []byte) ([]Token, error) {
	lines := TokenLines(text)
	if len(lines) == 0 || len(lines) > MaxTokens {
		return nil, ErrTokenCount
	}
	tokens := make([]Token, 0, len(lines))
	for i, line := range lines {
		token, err := ParseToken(line)
		if err != nil {
			return nil, fmt.Errorf("%w: the one in place %d is not", err, i+1)
		}
		tokens = append(tokens, token)
	}
	return tokens, nil
}

// check refuses what nobody can mean. The errors are ErrTokenCount and
// ErrTokenRights.
func (t *Tokens) check() error {
	switch {
	case len(t.All) > MaxTokens || len(t.Read) > MaxTokens:
		return ErrTokenCount
	case len(t.All) == 0 && len(t.Read) > 0:
		return ErrTokenRights
	default:
		return nil
	}
}

// grant is what a token gives the right to, and its place among those that give
// the same.
type grant struct {
	may   access
	place int
}

// find gives the rights of a token, or accessOpen for one that is not known. It
// takes the same time for every token of one length: what is compared is the hash,
// with all of them.
func (t *Tokens) find(token []byte) grant {
	sum := sha256.Sum256(token)
	all, read := findToken(t.All, &sum), findToken(t.Read, &sum)
	switch {
	case all >= 0:
		return grant{accessWrite, all}
	case read >= 0:
		return grant{accessRead, read}
	default:
		return grant{accessOpen, 0}
	}
}

// findToken gives the place of sum, or -1.
func findToken(tokens []Token, sum *[sha256.Size]byte) int {
	place := -1
	for i := range tokens {
		place = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(tokens[i].digest[:], sum[:]), i, place)
	}
	return place
}

// bearer gives the token of the header Authorization, or nil if it has none.
func bearer(header []byte) []byte {
	const scheme = "Bearer "
	if len(header) < len(scheme) || !bytes.EqualFold(header[:len(scheme)], []byte(scheme)) {
		return nil
	}
	return bytes.Trim(header[len(scheme):], " ")
}
