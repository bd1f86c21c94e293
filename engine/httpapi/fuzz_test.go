package httpapi

import (
	"bytes"
	"encoding/json"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/smache/smache/proto"
)

// jsonSeeds are texts that parsers of JSON have disagreed about.
var jsonSeeds = []string{
	``, ` `, `{}`, `[]`, `null`, `0`, `-`, `-0`, `01`, `1.`, `.5`, `1e5`, `1E+5`, `1e`, `+1`, `tru`, `true`, `nul`, `"`, `"a`, `"\u"`,
	`"\u12"`, `"\x"`, `"a` + "\n" + `"`, "\"\x00\"", "\"\x7f\"", "\"\xff\"", "\"\xc0\x80\"", "\"\xed\xa0\x80\"", "\xef\xbb\xbf{}", "{}\x00", "\x00{}",
	`{"a":1,}`, `[1,]`, `{,}`, `{"a"}`, `{"a":}`, `{a:1}`, `{'a':1}`, `{"a":1 "b":2}`, `[1 2]`, `{} {}`, `{}x`, `[[[[]]]]`, `[1,[2,{"a":[]}]]`, "\v{}", "\u00a0{}",
	`{"key":1,"data":{}}`, `{"key":"a","data":{"x":1}}`, ` { "key" : "a" , "data" : { "x" : [ 1 , "a b" ] } } `,
	`{"key":1,"key":2,"data":{}}`, `{"key":1,"data":{},"data":{}}`, `{"Key":1,"DATA":{}}`, `{"\u006bey":"x","data":{}}`, `{"k\u0065y":"x","key":"y","data":{}}`,
	`{"key":"\ud800","data":{}}`, `{"key":"\ud83d\ude00","data":{"s":"\ud800"}}`, `{"key":"\udc00\ud800","data":{}}`, `{"key":"\ud800\u0041","data":{}}`,
	`{"key":1.5,"data":{}}`, `{"key":1e3,"data":{}}`, `{"key":-0,"data":{}}`, `{"key":007,"data":{}}`, `{"key":"007","data":{}}`, `{"key":"+7","data":{}}`,
	`{"key":true,"data":{}}`, `{"key":[],"data":{}}`, `{"key":{},"data":{}}`, `{"key":null,"data":{}}`, `{"key":"","data":{}}`, `{"key":"null","data":{}}`, `{"data":{}}`,
	`{"key":1}`, `{"key":1,"data":null}`, `{"key":1,"data":[]}`, `{"key":1,"data":"{}"}`, `{"key":1,"data":{"a":1,"a":2}}`, `{"key":1,"data":{"a":1.50,"b":1e400}}`,
	`{"key":1,"data":{},"ttl":1}`, `{"key":1,"data":{},"ttl":0}`, `{"key":1,"data":{},"ttl":-1}`, `{"key":1,"data":{},"ttl":0.0001}`, `{"key":1,"data":{},"ttl":null}`,
	`{"key":1,"data":{},"ttl":"1"}`, `{"key":1,"data":{},"ttl":315360000}`, `{"key":1,"data":{},"ttl":315360000.1}`, `{"key":1,"data":{},"ttl":1e999}`, `{"key":1,"data":{},"ttl":1e-30}`,
	`{"key":"a\\","data":{"\\\"":"\\\\"}}`, `{"key":1,"other":{"key":2},"data":{"key":3}}`, `{"key":1,"data":{"a":"\\"},"x":"\""}`, `{"":0,"key":1,"data":{}}`,
}

// FuzzVerdict holds checkJSON to encoding/json and unicode/utf8.
func FuzzVerdict(f *testing.F) {
	for _, s := range jsonSeeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		compareVerdict(t, body)
	})
}

func compareVerdict(t *testing.T, body []byte) (valid bool) {
	t.Helper()
	before := bytes.Clone(body)
	why := checkJSON(body)
	if !bytes.Equal(before, body) {
		t.Fatal("checkJSON has changed its input")
	}
	valid = json.Valid(body) && utf8.Valid(body)
	if valid == why.refused() {
		t.Fatalf("%.200q: valid is %v, refused for %+v", body, valid, why)
	}
	switch {
	case why.at < 0 || why.at > len(body):
		t.Fatalf("%.200q: position %d of %d", body, why.at, len(body))
	case why.fail == proto.FailUTF8 && utf8.FullRune(body[why.at-1:]) && utf8.Valid(body[why.at-1:]):
		t.Fatalf("%.200q: valid at the position %d", body, why.at)
	case why.fail == proto.FailUTF8 && !utf8.Valid(body[:why.at-1]):
		t.Fatalf("%.200q: invalid before the position %d", body, why.at)
	}
	return valid
}

func TestNestingLimit(t *testing.T) {
	for _, depth := range []int{1, 9_998, 9_999, 10_000, 10_001, 20_000, 60_000, 200_000} {
		for _, pair := range [][2]string{{"[", "]"}, {`{"a":`, "}"}} {
			inner := "0"
			text := strings.Repeat(pair[0], depth) + inner + strings.Repeat(pair[1], depth)
			if valid := compareVerdict(t, []byte(text)); valid != (depth <= 10_000) {
				t.Errorf("%d levels of %s: valid is %v", depth, pair[0], valid)
			}
			compareVerdict(t, []byte(text[:len(text)-1]))
		}
	}
}

// FuzzEnvelope holds readPost to an oracle made of encoding/json.
func FuzzEnvelope(f *testing.F) {
	for _, s := range jsonSeeds {
		f.Add([]byte(s))
	}
	s := newServer(f, newFake(), func(c *Config) { c.MaxValue = 512 })
	f.Fuzz(func(t *testing.T, body []byte) {
		if compareVerdict(t, body) {
			compareEnvelope(t, s, body)
		}
	})
}

func compareEnvelope(t *testing.T, s *Server, body []byte) {
	t.Helper()
	want := oracle(body, 512)
	r := s.newRequest().(*request)
	why := s.readPost(bytes.Clone(body), r)
	if why.fail != want.fail {
		t.Fatalf("%q: refused for %v, should be %v", body, why.fail, want.fail)
	}
	if why.refused() {
		return
	}
	op := &r.op
	if string(op.Key) != want.key || string(op.Value) != want.data || op.Slot != proto.SlotOf(op.Key) {
		t.Fatalf("%q: key %q and data %q, should be %q and %q", body, op.Key, op.Value, want.key, want.data)
	}
	if d := op.TTL - want.ttl; d < -time.Microsecond || d > time.Microsecond {
		t.Fatalf("%q: ttl %v, should be %v", body, op.TTL, want.ttl)
	}
}

type verdict struct {
	fail      *proto.Failure
	key, data string
	ttl       time.Duration
}

// oracle reads the envelope of a POST out of valid JSON, with the Decoder.
func oracle(body []byte, maxValue int) verdict {
	d := json.NewDecoder(bytes.NewReader(body))
	first, err := d.Token()
	if err != nil || first != json.Delim('{') {
		return verdict{fail: proto.FailBody}
	}
	members := make(map[string]json.RawMessage)
	twice := false
	for d.More() {
		name, err := d.Token()
		if err != nil {
			panic(err)
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			panic(err)
		}
		text := name.(string)
		if text != "key" && text != "data" && text != "ttl" {
			continue
		}
		_, seen := members[text]
		twice = twice || seen
		members[text] = value
	}
	if twice {
		return verdict{fail: proto.FailBody}
	}
	key, fail := oracleKey(members["key"])
	if fail != nil {
		return verdict{fail: fail}
	}
	data := members["data"]
	if len(data) == 0 || data[0] != '{' {
		return verdict{fail: proto.FailBody}
	}
	var compacted bytes.Buffer
	if err := json.Compact(&compacted, data); err != nil {
		panic(err)
	}
	if compacted.Len() > maxValue {
		return verdict{fail: proto.FailValueTooLarge}
	}
	v := verdict{key: key, data: compacted.String(), ttl: proto.Forever}
	if ttl, given := members["ttl"]; given && string(ttl) != "null" {
		seconds, err := strconv.ParseFloat(string(ttl), 64)
		if err != nil || seconds <= 0 || seconds > 10*365*24*3600 {
			return verdict{fail: proto.FailTTL}
		}
		v.ttl = time.Duration(seconds * 1e9)
	}
	return v
}

// oracleKey reads a key, with encoding/json and a look at its UTF-16 units.
func oracleKey(raw json.RawMessage) (string, *proto.Failure) {
	var canonical []byte
	var err error
	switch {
	case raw == nil || string(raw) == "null":
		return "", proto.FailKeyNil
	case raw[0] == '"':
		if loneSurrogate(string(raw)) {
			var text string
			_ = json.Unmarshal(raw, &text)
			if len(text) > proto.MaxKeyLen { // either refusal is right
				return "", proto.FailKeyTooLong
			}
			return "", proto.FailUTF8
		}
		var text string
		if err := json.Unmarshal(raw, &text); err != nil {
			panic(err)
		}
		canonical, err = proto.AppendKey(nil, []byte(text))
	case strings.ContainsAny(string(raw[:1]), "-0123456789"):
		canonical, err = proto.AppendKeyNumber(nil, raw)
	default:
		return "", proto.FailKey
	}
	if err != nil {
		return "", proto.FailureOfKey(err)
	}
	return string(canonical), nil
}

// loneSurrogate spells a JSON string out in UTF-16 and looks for halves of pairs.
func loneSurrogate(quoted string) bool {
	var units []uint16
	escape := regexp.MustCompile(`\\u[0-9a-fA-F]{4}|\\.|[^\\]`)
	for _, part := range escape.FindAllString(quoted[1:len(quoted)-1], -1) {
		if strings.HasPrefix(part, `\u`) {
			n, _ := strconv.ParseUint(part[2:], 16, 16)
			units = append(units, uint16(n))
			continue
		}
		units = append(units, utf16.Encode([]rune(part[:1]))...)
	}
	for i := 0; i < len(units); i++ {
		switch {
		case units[i] >= 0xd800 && units[i] < 0xdc00 && i+1 < len(units) && units[i+1] >= 0xdc00 && units[i+1] < 0xe000:
			i++
		case units[i] >= 0xd800 && units[i] < 0xe000:
			return true
		}
	}
	return false
}

// FuzzKey holds appendKeyJSON to the oracle.
func FuzzKey(f *testing.F) {
	for _, s := range []string{
		`1`, `"1"`, `-1`, `"-0"`, `"aa"`, `24929`, `"12abc"`, `"\u0031"`, `"\/"`, `"\b\f\n\r\t\"\\"`, `"\ud83d\ude00"`, `"\ude00"`, `"\ud83dx"`, `"\u0000"`, `1e2`, `true`, `null`,
		`"` + strings.Repeat("k", 1024) + `"`, `"` + strings.Repeat("k", 1025) + `"`, `"` + strings.Repeat(`\u006b`, 1024) + `"`, `"` + strings.Repeat(`\u006b`, 1025) + `"`,
		strings.Repeat("9", 1024), strings.Repeat("9", 1025), `"` + strings.Repeat("é", 512) + `"`, `"` + strings.Repeat("é", 513) + `"`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		raw := bytes.TrimSpace(text)
		if checked := checkJSON(raw); checked.refused() {
			return
		}
		got, _, why := appendKeyJSON([]byte("before"), raw, nil)
		want, fail := oracleKey(raw)
		if fail == proto.FailUTF8 && why.fail == proto.FailKeyTooLong {
			return // both are true
		}
		if why.fail != fail || string(got) != "before"+want {
			t.Fatalf("%q: %q and %v, should be %q and %v", raw, got, why.fail, want, fail)
		}
	})
}

// FuzzCompact holds compact to json.Compact.
func FuzzCompact(f *testing.F) {
	for _, s := range jsonSeeds {
		f.Add([]byte(s))
	}
	f.Add([]byte(`{ "<a>" : "& \u2028 ` + "\u2028" + `" , "b" : [ 1 , 2 , { } , [ ] , "\\" , "\\\" x" ] }`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if checked := checkJSON(text); checked.refused() {
			return
		}
		var want bytes.Buffer
		if err := json.Compact(&want, text); err != nil {
			t.Fatal(err)
		}
		c := cursor{b: text}
		c.skipSpace()
		_, loose := c.value()
		body := bytes.TrimSpace(text)
		if loose != (want.Len() != len(body)) {
			t.Fatalf("%q: white space within is %v", text, loose)
		}
		if got := compact(bytes.Clone(text)); !bytes.Equal(got, want.Bytes()) {
			t.Fatalf("%q: compact is %q, should be %q", text, got, want.Bytes())
		}
	})
}

// FuzzQuery holds readQuery to net/url.
func FuzzQuery(f *testing.F) {
	for _, s := range []string{
		"", "key=1", "key=a+b", "key=a%20b", "key=%", "key=%4", "key=%zz", "key=a&key=b", "key&key", "key", "key=", "miss=404", "miss=404&key=1", "miss=1", "miss=404&miss=404",
		"%6bey=x", "a=%&key=1", "key=1&", "&&key=1", "key==", "key=a=b", "=1", "key=%00", "key=\xff", "key=%ff", "Key=1", "key=a;b", "key=%2B%26%25",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var keys []string
		misses, bad, badMiss := 0, false, false
		for pair := range strings.SplitSeq(string(raw), "&") {
			name, value, _ := strings.Cut(pair, "=")
			name, err1 := url.QueryUnescape(name)
			value, err2 := url.QueryUnescape(value)
			switch {
			case err1 != nil || err2 != nil:
				bad = true
			case name == "key":
				keys = append(keys, value)
			case name == "miss":
				misses++
				badMiss = badMiss || value != "404"
			}
		}
		bad = bad || badMiss || misses > 1 || len(keys) > 1
		scratch := make([]byte, 0, 8)
		q, _, why := readQuery(raw, scratch)
		if why.refused() != bad {
			t.Fatalf("%q: refused for %v", raw, why)
		}
		if bad {
			return
		}
		if q.miss404 != (misses == 1) || len(keys) == 0 && len(q.key) > 0 || len(keys) == 1 && string(q.key) != keys[0] {
			t.Fatalf("%q: %q and %v, should be %q and %v", raw, q.key, q.miss404, keys, misses == 1)
		}
	})
}

var etagList = regexp.MustCompile("^[ \t,]*T([ \t]*,[ \t,]*T)*[ \t,]*$")

// FuzzETags holds readETags to the grammar of RFC 9110 as a regular expression.
func FuzzETags(f *testing.F) {
	for _, s := range []string{
		"", "*", " * ", "**", `"*"`, `"0123456789abcdef"`, `W/"0123456789abcdef"`, `"0123456789abcdef", "x"`, `"a","b"`, `"a" "b"`, `,`, `,"a",,`, `"`, `"a`, `a`, `w/"a"`, `W/a`,
		`0123456789abcdef`, `"0123456789ABCDEF"`, `"a b"`, `"0000000000000000"`, `"a"	,	"b"`, `*, "a"`, `""`,
	} {
		f.Add([]byte(s), true)
		f.Add([]byte(s), false)
	}
	tag := regexp.MustCompile(`(W/)?"([^"\x00-\x20\x7f]*)"`)
	f.Fuzz(func(t *testing.T, text []byte, weak bool) {
		runes := make([]rune, len(text)) // Latin-1, for the expression
		for i, c := range text {
			runes[i] = rune(c)
		}
		latin := string(runes)
		var want []proto.ETag
		for _, m := range tag.FindAllStringSubmatch(latin, -1) {
			n, err := strconv.ParseUint(m[2], 16, 64)
			if err == nil && len(m[2]) == 16 && n != 0 && strings.ToLower(m[2]) == m[2] && (weak || m[1] == "") {
				want = append(want, proto.ETag(n))
			}
		}
		isStar := strings.Trim(latin, " \t") == "*"
		valid := isStar || !strings.Contains(latin, "T") && etagList.MatchString(tag.ReplaceAllString(latin, "T"))
		if strings.Contains(latin, "T") { // the stand-in itself: let it be another letter
			valid = isStar || etagList.MatchString(tag.ReplaceAllString(strings.ReplaceAll(latin, "T", "t"), "T"))
		}
		m, _, ok := readETags([]proto.ETag{1}, text, weak, false)
		if ok != valid {
			t.Fatalf("%q: valid is %v", text, ok)
		}
		if !ok {
			return
		}
		if !m.Set || m.Any != isStar || len(m.Tags) != len(want) && !isStar {
			t.Fatalf("%q: %+v, should be %v", text, m, want)
		}
		for i := range m.Tags {
			if m.Tags[i] != want[i] {
				t.Fatalf("%q: %v, should be %v", text, m.Tags, want)
			}
		}
	})
}

// FuzzQuoted holds appendQuoted and appendUnquoted to encoding/json.
func FuzzQuoted(f *testing.F) {
	for _, s := range []string{"", "a", `"`, `\`, "\x00\x1f\x7f", "é\u2028", "a\nb", strings.Repeat(`\"`, 40)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) {
			return
		}
		quoted := appendQuoted(nil, []byte(text))
		if string(appendQuotedString(nil, text)) != string(quoted) {
			t.Fatalf("%q: the two forms differ", text)
		}
		var back string
		if err := json.Unmarshal(quoted, &back); err != nil || back != text {
			t.Fatalf("%q: %q, %v", quoted, back, err)
		}
		theirs, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range [][]byte{quoted, theirs} {
			if got, ok := appendUnquoted(nil, q, 1<<20); !ok || string(got) != text {
				t.Fatalf("%q: unquoted %q, %v", q, got, ok)
			}
		}
	})
}
