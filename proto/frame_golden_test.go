package proto

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// vector is a frame of testdata: its bytes were not made by this package.
type vector struct {
	name  string // file/name
	frame []byte
}

// vectors reads testdata/*.hex: hexadecimal bytes, comments behind ";" or "#",
// and [name] in front of each frame.
func vectors(t testing.TB) (all []vector) {
	t.Helper()
	files, err := filepath.Glob("testdata/*.hex")
	if err != nil || len(files) == 0 {
		t.Fatalf("no vectors: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		base := strings.TrimSuffix(filepath.Base(file), ".hex")
		for number, line := range strings.Split(string(text), "\n") {
			if name, ok := strings.CutPrefix(line, "["); ok {
				all = append(all, vector{name: base + "/" + strings.TrimSuffix(name, "]")})
				continue
			}
			line, _, _ = strings.Cut(line, ";")
			line, _, _ = strings.Cut(line, "#")
			b, err := hex.DecodeString(strings.Join(strings.Fields(line), ""))
			if err != nil {
				t.Fatalf("%s:%d: %v", file, number+1, err)
			}
			if len(b) > 0 {
				last := &all[len(all)-1]
				last.frame = append(last.frame, b...)
			}
		}
	}
	return all
}

const (
	gKey   = "svehicle:0001"
	gValue = `{"lat":52.5}`
	gETag  = 0x5e0d3c1a2b3c4d5e
	gStart = 1700000000000000
	gA     = "smache@10.0.0.1:4000"
	gB     = "smache@10.0.0.2:4000"
	gC     = "smache@10.0.0.3:4000"
)

var (
	gMeta   = Meta{ETag: gETag, Version: Version{3, gETag}, Remaining: 30 * time.Second, Age: 1500 * time.Millisecond}
	gEnd    = Meta{ETag: gETag, Version: Version{3, gETag}, Remaining: Forever, Age: 1500 * time.Millisecond}
	gNew    = Meta{ETag: gETag, Version: Version{3, gETag}, Remaining: Forever}
	gMerged = Meta{ETag: gETag, Version: Version{2, gETag + 1}, Remaining: 20 * time.Second, Age: 4 * time.Second}
	gMinute = Meta{ETag: gETag, Version: Version{3, gETag}, Remaining: time.Minute, Age: 1500 * time.Millisecond}
	gTo     = Redirect{Holder: []byte(gB), Incarnation: gStart + 1}
	gHead   = SlotsHead{Incarnation: gStart, Terms: 9, Flushes: 2, Weight: 100, State: MemberServing, To: gStart + 1<<16}
	gEntry  = Entry{Meta: gMeta, Key: []byte(gKey), Value: []byte(gValue)}
	gRecord = Entry{Meta: Meta{Version: Version{3, 0x5e0d3c1a2b3c0000}, Age: 2 * time.Second}, Key: []byte("svehicle:37625"), Gone: true}
	gOther  = Entry{Meta: Meta{9, Version{1, 9}, Forever, time.Hour}, Key: []byte("i123534"), Value: []byte("{}")}
	gOne    = Member{gStart, 100, MemberServing, []byte(gA), []byte("10.0.0.1:14000"), []byte("10.0.0.1:24000"), []byte("10.0.0.1:4000"), []byte("v1.0.0")}
	gGone   = Member{Incarnation: gStart + 1, State: MemberGone, Name: []byte(gB)}
	gNext   = Member{gStart + 2, 50, MemberJoining, []byte("smache@[::1]:4000"), []byte("[::1]:14000"), []byte("[::1]:24000"), []byte("[::1]:4000"), []byte("v1.0.1-3-gabcdef")}
)

func gMerge(key string) Request {
	return Request{Key: []byte(key), Value: []byte(gValue), TTL: 20 * time.Second,
		ETag: gETag, Version: Version{2, gETag + 1}, Age: 4 * time.Second}
}

func gRequest(key, value string, ttl time.Duration) Request {
	return Request{Key: []byte(key), Value: []byte(value), TTL: ttl}
}

// gBefore and gLatest are samples in which no figure is that of another.
var gBefore, gLatest = gSample(1), gSample(2)

func gSample(n uint64) (s Sample) {
	for i := range s {
		s[i] = n<<8 | uint64(i)
	}
	return s
}

func gSeries(samples ...Sample) Stats {
	s := Stats{Run: gStart, Age: 250 * time.Millisecond, Figures: FigureCount}
	for i := range samples {
		s.Samples = AppendSample(s.Samples, &samples[i])
	}
	return s
}

func gWords(words ...uint64) (b []byte) {
	for _, w := range words {
		b = binary.LittleEndian.AppendUint64(b, w)
	}
	return b
}

func gFailed(status Status) Answer { return Answer{Status: status} }

func gTags(tags ...ETag) Tags {
	var b []byte
	for _, tag := range tags {
		b = append(b, byte(tag), byte(tag>>8), byte(tag>>16), byte(tag>>24), byte(tag>>32), byte(tag>>40), byte(tag>>48), byte(tag>>56))
	}
	return b
}

func gPair(budget uint32, a, b any) multiBody {
	return multiBody{budget, []multiItem{{Slot: 35525, Term: 3, Body: a}, {Index: 1, Slot: 38107, Term: 9, Body: b}}}
}

func gFirst(a Answer) multiBody {
	return multiBody{Items: []multiItem{{Index: 1, Status: a.Status, Term: 9, Body: a}}}
}

var gLast = multiBody{Items: []multiItem{{Status: StatusMoved, Term: 4, Body: Answer{Status: StatusMoved, Redirect: gTo}}}}

type goldenFrame struct {
	Header
	body any
}

func gSlots(messages ...slotMessage) goldenFrame {
	return goldenFrame{Header{Op: FrameSlots}, slotsBody{gHead, messages}}
}

// golden says what each vector is. The header's epoch, id and term are those of
// goldenHeader unless they are given.
var golden = map[string]goldenFrame{
	"get/request": {Header{Op: FrameGet}, gRequest(gKey, "", 0)},
	"get/request with If-None-Match, forwarded": {Header{Op: FrameGet, Flags: FlagForwarded},
		Request{Key: []byte(gKey), Limit: 65536, IfNoneMatch: Condition{Set: true, Tags: gTags(gETag, 1)}}},
	"get/request, traced":        {Header{Op: FrameGet, Flags: FlagForwarded | FlagTraced}, tracedBody{gTrace, gRequest(gKey, "", 0)}},
	"get/hit":                    {Header{Op: FrameGet, Flags: FlagAnswer}, Answer{Meta: gMeta, Value: []byte(gValue)}},
	"get/miss":                   {Header{Op: FrameGet, Flags: FlagAnswer, Status: StatusMiss}, gFailed(StatusMiss)},
	"get/not modified":           {Header{Op: FrameGet, Flags: FlagAnswer, Status: StatusNotModified}, Answer{Status: StatusNotModified, Meta: gEnd}},
	"get/moved":                  {Header{Op: FrameGet, Flags: FlagAnswer, Status: StatusMoved, Term: 4}, Answer{Status: StatusMoved, Redirect: gTo}},
	"get/busy, holder not known": {Header{Op: FrameGet, Flags: FlagAnswer, Status: StatusBusy, Term: 4}, Answer{Status: StatusBusy, Redirect: Redirect{Wait: 50 * time.Millisecond}}},
	"get/too large":              {Header{Op: FrameGet, Flags: FlagAnswer, Status: StatusTooLarge}, gFailed(StatusTooLarge)},

	"set/request": {Header{Op: FrameSet}, gRequest(gKey, gValue, 30*time.Second)},
	"set/request with conditions": {Header{Op: FrameSet, Slot: 38107},
		Request{Key: []byte("i7"), Value: []byte(gValue), TTL: Forever,
			IfMatch: Condition{Set: true, Tags: gTags(gETag)}, IfNoneMatch: Condition{Set: true, Any: true}}},
	"set/stored":                        {Header{Op: FrameSet, Flags: FlagAnswer}, Answer{Meta: gNew}},
	"set/precondition failed":           {Header{Op: FrameSet, Flags: FlagAnswer, Status: StatusPrecondition}, Answer{Status: StatusPrecondition, Meta: Meta{ETag: gETag}}},
	"set/precondition failed, no entry": {Header{Op: FrameSet, Flags: FlagAnswer, Status: StatusPrecondition}, gFailed(StatusPrecondition)},
	"set/queue full":                    {Header{Op: FrameSet, Flags: FlagAnswer, Status: StatusQueueFull}, gFailed(StatusQueueFull)},
	"set/unreachable":                   {Header{Op: FrameSet, Flags: FlagAnswer, Status: StatusUnreachable}, gFailed(StatusUnreachable)},
	"set/not holder":                    {Header{Op: FrameSet, Flags: FlagAnswer, Status: StatusNotHolder}, gFailed(StatusNotHolder)},
	"set/closed":                        {Header{Op: FrameSet, Flags: FlagAnswer, Status: StatusClosed}, gFailed(StatusClosed)},
	"set/of another epoch":              {Header{Op: FrameSet, Flags: FlagAnswer, Status: StatusEpoch}, gFailed(StatusEpoch)},

	"delete/request":                     {Header{Op: FrameDelete}, gRequest(gKey, "", 0)},
	"delete/request with If-Match \"*\"": {Header{Op: FrameDelete}, Request{Key: []byte(gKey), IfMatch: Condition{Set: true, Any: true}}},
	"delete/deleted":                     {Header{Op: FrameDelete, Flags: FlagAnswer}, gFailed(StatusOK)},
	"delete/there was none":              {Header{Op: FrameDelete, Flags: FlagAnswer, Status: StatusMiss}, gFailed(StatusMiss)},

	"touch/request": {Header{Op: FrameTouch}, gRequest(gKey, "", time.Minute)},
	"touch/touched": {Header{Op: FrameTouch, Flags: FlagAnswer}, Answer{Meta: gMinute}},

	"merge/request": {Header{Op: FrameMerge}, gMerge(gKey)},
	"merge/stored":  {Header{Op: FrameMerge, Flags: FlagAnswer}, Answer{Meta: gMerged}},
	"merge/stale":   {Header{Op: FrameMerge, Flags: FlagAnswer, Status: StatusStale}, Answer{Status: StatusStale, Meta: gMeta}},

	"multi_get/request":                     {Header{Op: FrameMultiGet}, gPair(1<<20, gRequest(gKey, "", 0), gRequest("i7", "", 0))},
	"multi_delete/request, traced":          {Header{Op: FrameMultiDelete, Flags: FlagTraced}, tracedBody{gTrace, gPair(0, gRequest(gKey, "", 0), gRequest("i7", "", 0))}},
	"multi_get/first part of the answer":    {Header{Op: FrameMultiGet, Flags: FlagAnswer | FlagMore}, gFirst(Answer{Meta: gMeta, Value: []byte(gValue)})},
	"multi_get/last part of the answer":     {Header{Op: FrameMultiGet, Flags: FlagAnswer}, gLast},
	"multi_get/closed, as a whole":          {Header{Op: FrameMultiGet, Flags: FlagAnswer, Status: StatusClosed}, nothing{}},
	"multi_set/request":                     {Header{Op: FrameMultiSet}, gPair(0, gRequest(gKey, gValue, Forever), gRequest("i7", gValue, Forever))},
	"multi_set/first part of the answer":    {Header{Op: FrameMultiSet, Flags: FlagAnswer | FlagMore}, gFirst(Answer{Meta: gNew})},
	"multi_set/last part of the answer":     {Header{Op: FrameMultiSet, Flags: FlagAnswer}, gLast},
	"multi_delete/request":                  {Header{Op: FrameMultiDelete}, gPair(0, gRequest(gKey, "", 0), gRequest("i7", "", 0))},
	"multi_delete/first part of the answer": {Header{Op: FrameMultiDelete, Flags: FlagAnswer | FlagMore}, gFirst(gFailed(StatusOK))},
	"multi_delete/last part of the answer":  {Header{Op: FrameMultiDelete, Flags: FlagAnswer}, gLast},
	"multi_touch/request":                   {Header{Op: FrameMultiTouch}, gPair(0, gRequest(gKey, "", time.Minute), gRequest("i7", "", time.Minute))},
	"multi_touch/first part of the answer":  {Header{Op: FrameMultiTouch, Flags: FlagAnswer | FlagMore}, gFirst(Answer{Meta: gMinute})},
	"multi_touch/last part of the answer":   {Header{Op: FrameMultiTouch, Flags: FlagAnswer}, gLast},
	"multi_merge/request":                   {Header{Op: FrameMultiMerge}, gPair(0, gMerge(gKey), gMerge("i7"))},
	"multi_merge/first part of the answer":  {Header{Op: FrameMultiMerge, Flags: FlagAnswer | FlagMore}, gFirst(Answer{Meta: gMerged})},
	"multi_merge/last part of the answer":   {Header{Op: FrameMultiMerge, Flags: FlagAnswer}, gLast},

	"hello/request": {Header{Op: FrameHello, ID: 1},
		Hello{1, 1, RoleNode, 1024, gStart, ClusterHash("smache"), 0, []byte(gA), nil}},
	"hello/request with features": {Header{Op: FrameHello, ID: 1},
		Hello{1, 1, RoleNode, 1024, gStart, ClusterHash("smache"), FeatureStats | FeatureTrace, []byte(gA), nil}},
	"hello/answer of a later version": {Header{Op: FrameHello, ID: 1, Flags: FlagAnswer},
		Hello{1, 2, RoleNode, 1024, gStart + 1, ClusterHash("smache"), 0, []byte(gB), []byte{0xaa, 0xbb}}},
	"hello/request of a client": {Header{Op: FrameHello, ID: 1},
		Hello{1, 1, RoleClient, 1024, 0, ClusterHash("smache"), 0, []byte("reader"), nil}},
	"ping/request":                     {Header{Op: FramePing}, Ping{123456789, gStart}},
	"ping/answer":                      {Header{Op: FramePing, Flags: FlagAnswer}, Ping{123456789, gStart + 1}},
	"goodbye/done":                     {Header{Op: FrameGoodbye}, Goodbye{Reason: CloseDone}},
	"goodbye/slow reader, with a text": {Header{Op: FrameGoodbye}, Goodbye{CloseSlow, []byte("8 MiB unread")}},
	"members/request":                  {Header{Op: FrameMembers}, []Member{gOne}},
	"members/request of a client":      {Header{Op: FrameMembers}, []Member(nil)},
	"members/answer":                   {Header{Op: FrameMembers, Flags: FlagAnswer}, []Member{gOne, gGone, gNext}},
	"flush/request":                    {Header{Op: FrameFlush}, flushBody(3)},
	"flush/answer":                     {Header{Op: FrameFlush, Flags: FlagAnswer}, flushAnswer(4)},
	"stats/request":                    {Header{Op: FrameStats}, statsAsk(2)},
	"stats/answer":                     {Header{Op: FrameStats, Flags: FlagAnswer}, gSeries(gBefore, gLatest)},
	"stats/answer with fewer figures":  {Header{Op: FrameStats, Flags: FlagAnswer}, Stats{Run: gStart, Figures: 2, Samples: gWords(7, 1000)}},
	"stats/no sample yet":              {Header{Op: FrameStats, Flags: FlagAnswer}, gSeries()},

	"slots/ping and pong, all slots are held": gSlots(
		slotMessage{SlotMessage: SlotMessage{Kind: SlotPing, Found: true, Time: 123456789}},
		slotMessage{SlotMessage: SlotMessage{Kind: SlotPong, Found: true, Time: 987654321}}),
	"slots/ping and pong": gSlots(
		slotMessage{SlotMessage: SlotMessage{Kind: SlotPing, Time: 123456789}},
		slotMessage{SlotMessage: SlotMessage{Kind: SlotPong, Time: 123456000}}),
	"slots/ask and heard": gSlots(
		slotMessage{SlotMessage: SlotMessage{Kind: SlotAsk, Time: 123456789, Incarnation: gStart + 65537, Node: []byte(gB)}},
		slotMessage{SlotMessage: SlotMessage{Kind: SlotHeard, Time: 123456789, Incarnation: gStart + 65537, Age: 1500000, Node: []byte(gB)}}),
	"slots/take, and take by a holder": gSlots(
		slotMessage{SlotMessage: SlotMessage{Kind: SlotTake, Slot: 258}},
		slotMessage{SlotMessage: SlotMessage{Kind: SlotTake, Slot: 35525, Done: true}}),
	"slots/grant, and grant of an empty slot": gSlots(
		slotMessage{SlotMessage: SlotMessage{Kind: SlotGrant, Slot: 35525, Term: 9, Elder: 4, Clock: gETag}},
		slotMessage{SlotMessage: SlotMessage{Kind: SlotGrant, Slot: 65535, Term: 8, Empty: true, Clock: gETag}}),
	"slots/taken": gSlots(slotMessage{SlotMessage: SlotMessage{Kind: SlotTaken, Slot: 65535, Term: 8}}),
	"slots/moved, and holder not known": gSlots(
		slotMessage{SlotMessage: SlotMessage{Kind: SlotMoved, Slot: 35525, Term: 9, Incarnation: gStart + 65537, Node: []byte(gB)}},
		slotMessage{SlotMessage: SlotMessage{Kind: SlotMoved, Slot: 258, Term: 3}}),
	"slots/claim": gSlots(slotMessage{SlotMessage: SlotMessage{Kind: SlotClaim, Slot: 35525, Term: 9}}),
	"slots/claim_ok, with and without sources": gSlots(
		slotMessage{
			SlotMessage: SlotMessage{Kind: SlotClaimOK, Slot: 35525, Term: 9, Elder: 7, Below: 6, Clock: gETag},
			Sources:     []SlotSource{{[]byte(gB), gStart + 1, 7, 4, 3}, {[]byte(gC), gStart + 2, 4, 2, 1}},
		},
		slotMessage{SlotMessage: SlotMessage{Kind: SlotClaimOK, Slot: 258, Term: 6, Clock: gETag}}),
	"slots/claim_no": gSlots(slotMessage{SlotMessage: SlotMessage{Kind: SlotClaimNo, Slot: 35525, Term: 8}}),
	"slots/pull":     gSlots(slotMessage{SlotMessage: SlotMessage{Kind: SlotPull, Slot: 35525, Term: 9, Time: 123456789, Seq: 2}}),
	"slots/batch": gSlots(slotMessage{
		SlotMessage: SlotMessage{Kind: SlotBatch, Slot: 35525, Term: 9, Time: 123456789, Seq: 2},
		Entries:     []Entry{gEntry, gRecord, gOther},
	}),
	"slots/batch, the last": gSlots(slotMessage{SlotMessage: SlotMessage{Kind: SlotBatch, Slot: 35525, Term: 9, Time: 123456000, Seq: 3, Done: true}}),
	"slots/fetch":           gSlots(slotMessage{SlotMessage: SlotMessage{Kind: SlotFetch, Slot: 35525, Term: 9, Time: 123456789, Key: []byte(gKey)}}),
	"slots/fetched: an entry, a record, nothing": gSlots(
		slotMessage{
			SlotMessage: SlotMessage{Kind: SlotFetched, Slot: 35525, Term: 9, Time: 123456789, Found: true, Key: gEntry.Key},
			Entries:     []Entry{gEntry},
		},
		slotMessage{
			SlotMessage: SlotMessage{Kind: SlotFetched, Slot: 35525, Term: 9, Time: 123456789, Found: true, Key: gRecord.Key},
			Entries:     []Entry{gRecord},
		},
		slotMessage{SlotMessage: SlotMessage{Kind: SlotFetched, Slot: 35525, Term: 9, Time: 123456789, Key: gOther.Key}}),
	"slots/offer, and offer of what is left over": gSlots(
		slotMessage{SlotMessage: SlotMessage{Kind: SlotOffer, Slot: 35525, Term: 9, Elder: 9}},
		slotMessage{SlotMessage: SlotMessage{Kind: SlotOffer, Slot: 258, Term: 5, Elder: 3, Done: true}}),
	"slots/stale, and overtaken": gSlots(
		slotMessage{SlotMessage: SlotMessage{Kind: SlotStale, Slot: 35525, Term: 9}},
		slotMessage{SlotMessage: SlotMessage{Kind: SlotStale, Slot: 258, Term: 5, Done: true}}),
	"slots/answer": {Header{Op: FrameSlots, Flags: FlagAnswer}, nothing{}},
}

// goldenHeader fills in what golden leaves out.
func goldenHeader(name string, h Header) Header {
	if h.Epoch = 0x1122334455667788; strings.HasSuffix(name, "of a client") {
		h.Epoch = 0
	}
	if h.Op != FrameGoodbye && h.ID == 0 {
		h.ID = 7
	}
	single := h.Op <= FrameMerge
	if single && h.Term == 0 {
		h.Term = 3
	}
	if single && h.Slot == 0 {
		h.Slot = 35525
	}
	return h
}

// Every vector is what this package writes for its value, and every value is
// what this package reads from its vector.
func TestVectors(t *testing.T) {
	all := vectors(t)
	covered := map[FrameOp][2]bool{}
	kinds := map[SlotKind]bool{}
	for _, v := range all {
		want, known := golden[v.name]
		if !known {
			t.Errorf("%s: no such vector in the test", v.name)
			continue
		}
		header := goldenHeader(v.name, want.Header)
		if got := AppendFrame(nil, &header, encodeBody(nil, &header, want.body)); !bytes.Equal(got, v.frame) {
			t.Errorf("%s: written as\n%swant\n%s", v.name, hex.Dump(got), hex.Dump(v.frame))
		}
		h, body, n, err := ParseFrame(v.frame)
		if err != nil || n != len(v.frame) || h != header {
			t.Errorf("%s: header %+v, %d of %d bytes, %v, want %+v", v.name, h, n, len(v.frame), err, header)
			continue
		}
		got, err := decodeBody(&h, body)
		if err != nil || !alike(got, want.body) {
			t.Errorf("%s: read as\n%+v, %v, want\n%+v", v.name, got, err, want.body)
		}
		if slots, ok := want.body.(slotsBody); ok {
			for _, m := range slots.Messages {
				kinds[m.Kind] = true
			}
		}
		c := covered[h.Op]
		c[h.Flags&FlagAnswer] = true
		covered[h.Op] = c
	}
	if len(all) != len(golden) {
		t.Errorf("%d vectors, %d in the test", len(all), len(golden))
	}
	for _, op := range FrameOps() {
		if c := covered[op]; !c[0] || !c[1] && !op.rule().oneWay {
			t.Errorf("%v: request is covered: %v, answer: %v", op, c[0], c[1])
		}
	}
	for _, kind := range SlotKinds() {
		if !kinds[kind] {
			t.Errorf("no vector has a %v", kind)
		}
	}
}
