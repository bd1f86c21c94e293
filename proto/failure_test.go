package proto

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"strings"
	"testing"
	"time"
)

// Every Fail… variable is in the list, once, with a code of its own; the list is
// what documents, metrics and clients go by.
func TestFailuresAreListed(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "failure.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	declared := 0
	ast.Inspect(file, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok {
			for _, name := range v.Names {
				if strings.HasPrefix(name.Name, "Fail") {
					declared++
				}
			}
		}
		return true
	})
	codes := map[string]bool{}
	form := regexp.MustCompile(`^[a-z0-9]+(_[a-z0-9]+)*$`)
	for _, f := range Failures() {
		if codes[f.Code] || !form.MatchString(f.Code) {
			t.Errorf("code %q is taken or malformed", f.Code)
		}
		codes[f.Code] = true
		if f.HTTP < 400 || f.HTTP > 599 || f.Text == "" {
			t.Errorf("%s: status %d, text %q", f.Code, f.HTTP, f.Text)
		}
		if f.Retry == RetrySafe && f.HTTP < 500 && f.HTTP != 429 && f.HTTP != 408 {
			t.Errorf("%s: a client error that may be sent again", f.Code)
		}
		if !strings.HasPrefix(f.Error(), f.Code) {
			t.Errorf("%s: error %q", f.Code, f.Error())
		}
	}
	if declared != len(codes) {
		t.Errorf("%d failures declared, %d listed", declared, len(codes))
	}
}

func TestFailureOf(t *testing.T) {
	for status, want := range map[Status]*Failure{
		StatusOK: nil, StatusMiss: nil, StatusNotModified: nil,
		StatusPrecondition: FailPrecondition, StatusTooLarge: FailValueTooLarge, StatusQueueFull: FailQueueFull,
		StatusNotHolder: FailBusy, StatusUnreachable: FailUnreachable, StatusClosed: FailDraining,
		StatusStale: FailInternal, StatusInternal: FailInternal, 255: FailInternal,
	} {
		if got := FailureOf(status); got != want {
			t.Errorf("status %d: %v, want %v", status, got, want)
		}
	}
	for err, want := range map[error]*Failure{
		ErrKeyNil: FailKeyNil, ErrKeyTooLong: FailKeyTooLong, ErrKeyUTF8: FailUTF8, ErrKeyNotInteger: FailKey,
	} {
		if got := FailureOfKey(err); got != want {
			t.Errorf("%v: %v, want %v", err, got, want)
		}
	}
}

// Whoever completes an operation and whoever waits for it agree on who saw it
// first: Done is called exactly when Submit has said that it will be.
func TestOpHandOver(t *testing.T) {
	for range 2000 {
		called := make(chan struct{}, 2)
		op := &Op{Done: func(*Op) { called <- struct{}{} }}
		op.Begin()
		go op.Complete()
		if !op.Await() {
			<-called
		}
		if !op.IsComplete() || len(called) != 0 {
			t.Fatal("Done was called for an operation that nobody waits for")
		}
	}
	op := &Op{Code: OpSet, TTL: time.Second, Done: func(*Op) {}}
	op.Begin()
	op.Complete()
	op.Reset()
	if op.Code != 0 || op.TTL != 0 || op.IsComplete() || op.Done == nil {
		t.Fatal("Reset keeps Done, and nothing else")
	}
}

func TestMatch(t *testing.T) {
	star, some := Match{Set: true, Any: true}, Match{Set: true, Tags: []ETag{3, 5}}
	if star.Has(0) || some.Has(0) || !star.Has(9) || some.Has(9) || !some.Has(5) {
		t.Error("Match names the wrong entries")
	}
	a, b := Version{1, 9}, Version{2, 1}
	if !a.Less(b) || b.Less(a) || a.Less(a) || !a.Less(Version{1, 10}) {
		t.Error("versions are out of order")
	}
}
