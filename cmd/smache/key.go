package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"github.com/smache/smache/proto"
)

// keyInfo is what smache key prints.
type keyInfo struct {
	// Key is the key as given.
	Key string `json:"key"`
	// Canonical is the canonical form, its kind byte first.
	Canonical string `json:"canonical"`
	// Kind is integer or string.
	Kind string `json:"kind"`
	// Integer is what the system before this one used as the key, in decimal: as
	// text, because it may be far above what JSON numbers hold.
	Integer string     `json:"integer"`
	Slot    proto.Slot `json:"slot"`
	// Holder is the node that holds the slot; null if no server answers.
	Holder *string `json:"holder"`
}

// runKey explains a key: canonical form, the seed's integer, slot and holder.
func runKey(inv invocation) int {
	cfg := newClientConfig()
	var asJSON boolValue
	settings := append(cfg.settings(), setting{name: "json", value: &asJSON, about: "Print JSON", flag: true})
	rest, code, ok := parseCommand(inv, "key", settings, 1, 1)
	if !ok {
		return code
	}
	c, err := newClient(cfg)
	if err != nil {
		return usageError(inv, "key", err)
	}
	canonical, err := proto.AppendKey(nil, []byte(rest[0]))
	if err != nil {
		return usageError(inv, "key", fmt.Errorf("%s: %w", proto.FailureOfKey(err).Code, err))
	}
	info := keyInfo{
		Key:       rest[0],
		Canonical: string(canonical),
		Kind:      "string",
		Integer:   proto.SeedInteger(canonical).String(),
		Slot:      proto.SlotOf(canonical),
	}
	if canonical[0] == proto.KindInteger {
		info.Kind = "integer"
	}
	shown := "unknown"
	holder, err := holderOf(inv, c, rest[0])
	if err != nil {
		shown += ": " + err.Error()
	} else {
		info.Holder, shown = &holder, holder
	}
	if asJSON {
		return printJSON(inv, info)
	}
	table(inv.stdout, [][]string{
		{"canonical", printable(info.Canonical)},
		{"kind", info.Kind},
		{"integer", info.Integer},
		{"slot", strconv.Itoa(int(info.Slot))},
		{"holder", shown},
	})
	return exitOK
}

// printable quotes a text that would disturb a terminal.
func printable(text string) string {
	if quoted := strconv.Quote(text); quoted != `"`+text+`"` {
		return quoted
	}
	return text
}

// holderOf asks the server which node holds a key.
func holderOf(inv invocation, c *client, key string) (string, error) {
	a, err := c.do(inv.ctx, http.MethodGet, keyPath(key), nil, nil)
	if err != nil {
		return "", err
	}
	var body struct {
		Node string `json:"node"`
	}
	if err := json.Unmarshal(a.body, &body); err != nil || body.Node == "" {
		return "", fmt.Errorf("the server answered %d without naming a node", a.status)
	}
	return body.Node, nil
}
