package engine

import (
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/smache/smache/peer"
	"github.com/smache/smache/proto"
)

// TestHistory: what is older than the ring is forgotten, and the order is kept.
func TestHistory(t *testing.T) {
	h := &history{run: 9}
	if s := h.last(10); s.Count() != 0 || s.Run != 9 || s.Age != 0 {
		t.Errorf("at first there is %+v", s)
	}
	begin := time.Now()
	for i := range proto.MaxSamples + 5 {
		s := proto.Sample{}
		s[proto.FigureHits] = uint64(i)
		h.add(&s, begin)
		want := min(i+1, 3)
		got := h.last(3)
		if got.Count() != want {
			t.Fatalf("after %d there are %d", i+1, got.Count())
		}
		for j := range want {
			number := uint64(i + 2 - want + j)
			if n, hits := got.Figure(j, proto.FigureNumber), got.Figure(j, proto.FigureHits); n != number || hits != number-1 {
				t.Fatalf("after %d, sample %d is number %d with %d hits", i+1, j, n, hits)
			}
		}
	}
	all := h.last(1 << 20)
	if all.Count() != proto.MaxSamples || all.Figure(0, proto.FigureNumber) != 6 || all.Age < 0 || all.Age > time.Since(begin) {
		t.Errorf("%d samples from %d on, %v old", all.Count(), all.Figure(0, proto.FigureNumber), all.Age)
	}
	if again := h.last(1); &again.Samples[0] == &all.Samples[len(all.Samples)-8*proto.FigureCount] {
		t.Error("two answers share their memory")
	}
}

// statsAnswer is the answer of /stats.
type statsAnswer struct {
	Node    string
	Moving  int
	Members []struct {
		Name, State, Error, Run string
		Age                     *float64
		Samples                 map[string]json.RawMessage
	}
}

// askStats asks a node for its samples.
func askStats(t *testing.T, url string) (answer statsAnswer) {
	t.Helper()
	status, text := ask(t, "GET", url, "")
	if err := json.Unmarshal([]byte(text), &answer); status != 200 || err != nil {
		t.Fatalf("%d %s: %v", status, text, err)
	}
	return answer
}

// column gives the values of one figure, in sum and as they are.
func column(t *testing.T, samples map[string]json.RawMessage, name string) (values []uint64, sum uint64) {
	t.Helper()
	if err := json.Unmarshal(samples[name], &values); err != nil {
		t.Fatalf("%s: %v in %s", name, err, samples[name])
	}
	for _, v := range values {
		sum += v
	}
	return values, sum
}

// TestSamples: what a node does is in its samples, each thing in one of them.
func TestSamples(t *testing.T) {
	node, err := New(small("n"))
	if err != nil {
		t.Fatal(err)
	}
	node.sampling = 50 * time.Millisecond // so that the first is still there at the end, on a busy machine, too
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Start(listener); err != nil {
		t.Fatal(err)
	}
	url := "http://" + listener.Addr().String()
	for i := range 20 {
		if status, answer := ask(t, "POST", url+"/api", fmt.Sprintf(`{"key":%d,"data":{}}`, i)); status != 200 {
			t.Fatalf("%d %s", status, answer)
		}
		ask(t, "GET", url+fmt.Sprintf("/api?key=%d", i%5*100+i), "")
	}
	ask(t, "DELETE", url+"/api?key=3", "")
	var last statsAnswer
	timed := uint64(0)
	poll(t, "all is in the samples", func() bool {
		last = askStats(t, url+"/stats?last=300")
		_, deletes := column(t, last.Members[0].Samples, "deletes")
		var latency [][]uint64
		if err := json.Unmarshal(last.Members[0].Samples["latency"], &latency); err != nil {
			t.Fatal(err)
		}
		timed = 0
		for _, classes := range latency {
			for _, n := range classes {
				timed += n
			}
		}
		return deletes == 1 && timed == 41 // a sample may have one of them without the other
	})
	m := last.Members[0]
	for name, want := range map[string]uint64{"reads": 20, "writes": 20, "failed": 0, "hits": 4, "misses": 16, "evictions": 0, "forwarded": 0} {
		if _, got := column(t, m.Samples, name); got != want {
			t.Errorf("%s: %d, want %d", name, got, want)
		}
	}
	for name, want := range map[string]uint64{"entries": 19, "memory_bytes": 128 << 20, "arena_bytes": uint64(node.plan.Arena), "moving": 0} {
		if values, _ := column(t, m.Samples, name); values[len(values)-1] != want {
			t.Errorf("%s is %d at last, want %d", name, values[len(values)-1], want)
		}
	}
	numbers, _ := column(t, m.Samples, "number")
	for i := range numbers[1:] {
		if numbers[i]+1 != numbers[i+1] {
			t.Errorf("sample %d follows %d", numbers[i+1], numbers[i])
		}
	}
	if _, sent := column(t, m.Samples, "sent_bytes"); timed != 41 || sent == 0 || m.Name != "n" || m.State != memberServing || m.Run == "" || m.Age == nil {
		t.Errorf("%d requests are timed, %d bytes sent, %+v", timed, sent, m)
	}
	if err := node.Drain(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestStatsOfMembers: every member is shown, with its samples or with why there are
// none, also one that has fallen silent; those who ask are bounded in number, and
// what they get by the number of members.
func TestStatsOfMembers(t *testing.T) {
	one := proto.Sample{}
	one[proto.FigureReads] = 77
	asked, entered, leave := 0, make(chan struct{}, maxLooking), make(chan struct{})
	fake := &fakeMembers{ready: true, view: peer.View{Epoch: 1, Moving: 3, Members: []peer.ViewMember{
		{Name: "a", State: memberServing, Slots: 5}, {Name: "b", State: memberServing}, {Name: "c", State: memberServing},
		{Name: "d", State: memberSilent}, {Name: "e", State: memberJoining}, {Name: "f", State: memberServing},
	}}}
	answers := []peer.PeerStats{
		{Name: "a", Stats: proto.Stats{Run: 1, Age: time.Second, Figures: proto.FigureCount, Samples: proto.AppendSample(nil, &one)}},
		{Name: "c", Answer: peer.StatsNone}, {Name: "d", Answer: peer.StatsSilent}, {Name: "f", Answer: peer.StatsNotKnown},
	}
	fake.ask = func(last int) []peer.PeerStats {
		asked = last
		return answers
	}
	node := buildFake(t, fake, nil)
	url := "http://" + startFake(t, node)
	got := askStats(t, url+"/stats?last=299")
	if asked != 299 || got.Node != "b" || got.Moving != 3 {
		t.Errorf("asked for %d, %+v", asked, got)
	}
	var shown []string
	for _, m := range got.Members {
		shown = append(shown, m.Name+" "+m.State+" "+m.Error)
	}
	const want = "a serving , b serving , c serving no_answer, d silent silent, e joining no_answer, f serving not_known"
	if strings.Join(shown, ", ") != want {
		t.Errorf("the members are %s, want %s", strings.Join(shown, ", "), want)
	}
	if _, reads := column(t, got.Members[0].Samples, "reads"); reads != 77 || *got.Members[0].Age != 1 {
		t.Errorf("a: %+v", got.Members[0])
	}
	if status, answer := ask(t, "GET", url+"/cluster", ""); status != 200 || strings.Contains(answer, `"d"`) {
		t.Errorf("/cluster answers %d %s", status, answer)
	}

	fake.ask = func(int) []peer.PeerStats {
		entered <- struct{}{}
		<-leave
		return nil
	}
	done := make(chan int)
	for range maxLooking {
		go func() {
			_, ok := node.Stats(1)
			if !ok {
				t.Error("one of the first was refused")
			}
			done <- 1
		}()
	}
	for range maxLooking {
		<-entered
	}
	if status, answer := ask(t, "GET", url+"/stats", ""); status != 503 {
		t.Errorf("one too many is answered %d %s", status, answer)
	}
	close(leave)
	for range maxLooking {
		<-done
	}
	fake.ask = func(last int) []peer.PeerStats {
		asked = last
		return nil
	}
	for i := range 994 {
		fake.view.Members = append(fake.view.Members, peer.ViewMember{Name: fmt.Sprintf("g%d", i), State: memberServing})
	}
	if got := askStats(t, url+"/stats?last=300"); asked != 12 || len(got.Members) != 1000 {
		t.Errorf("of %d members %d samples are asked for", len(got.Members), asked)
	}
	if err := node.Drain(t.Context()); err != nil {
		t.Error(err)
	}
}
