package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/smache/smache/peer/secure"
)

// TestSecret: a secret is one word that needs no quoting, long enough, and
// another one each time.
func TestSecret(t *testing.T) {
	seen := map[string]bool{}
	for range 3 {
		code, stdout, stderr := capture(t.Context(), "", nil, "secret")
		secret, whole := strings.CutSuffix(stdout, "\n")
		if code != exitOK || stderr != "" || !whole || len(secret) < secure.MinSecret || seen[secret] {
			t.Fatalf("smache secret: exit %d, %d bytes, %q", code, len(secret), stderr)
		}
		const harmless = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		if strings.Trim(secret, harmless) != "" {
			t.Error("a secret has characters that a shell, or a list, may take apart")
		}
		seen[secret] = true
	}
	if code, stdout, _ := capture(t.Context(), "", nil, "secret", "x"); code != exitUsage || stdout != "" {
		t.Errorf("with an argument: exit %d, %q", code, stdout)
	}
}

// fullDisk is a writer that takes nothing.
type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("the disk is full") }

func TestSecretIsNotCutShort(t *testing.T) {
	var errs bytes.Buffer
	code := run(invocation{ctx: t.Context(), args: []string{"secret"}, stdout: fullDisk{}, stderr: &errs})
	if code != exitNo || !strings.Contains(errs.String(), "full") {
		t.Errorf("exit %d, %q", code, errs.String())
	}
}
