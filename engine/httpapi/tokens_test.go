package httpapi

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestTokensTakeConstantTime reads the code that compares tokens, since on a machine
// with other things to do no clock tells a comparison that ends early from one that does
// not. What a client sends is hashed before anything else is done with it; the hash is
// compared by crypto/subtle alone, with every token; and nothing is decided meanwhile.
func TestTokensTakeConstantTime(t *testing.T) {
	if reflect.TypeOf(Token{}).Comparable() {
		t.Error("tokens can be compared with ==")
	}
	functions := map[string]*ast.FuncDecl{}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	sent, kept, field := 0, 0, regexp.MustCompile(`\.digest\b`)
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, text, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && name == "tokens.go" {
				functions[f.Name.Name] = f
			}
		}
		// It is stored by its address.
		sent += strings.Count(string(text), ".headers.authorization") - strings.Count(string(text), "&r.headers.authorization")
		kept += len(field.FindAll(text, -1))
	}
	if sent != 1 || kept != 1 {
		t.Errorf("the header Authorization is looked at in %d places, and the hash of a token in %d", sent, kept)
	}
	if calls := callsOf(functions["find"], "token"); !slices.Equal(calls, []string{"sha256.Sum256(token)"}) {
		t.Errorf("what is sent is used in %q", calls)
	}
	if calls := callsOf(functions["find"], "sum"); !slices.Equal(calls, []string{"findToken(t.All, &sum)", "findToken(t.Read, &sum)"}) {
		t.Errorf("its hash is used in %q", calls)
	}
	const compared = "subtle.ConstantTimeCompare(tokens[i].digest[:], sum[:])"
	if calls := callsOf(functions["findToken"], "sum"); !slices.Equal(calls, []string{"subtle.ConstantTimeSelect(" + compared + ", i, place)", compared}) {
		t.Errorf("it is compared in %q", calls)
	}
	ast.Inspect(functions["findToken"].Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.IfStmt, *ast.SwitchStmt, *ast.BranchStmt, *ast.ForStmt:
			t.Errorf("the comparison decides something: %T", n)
		case *ast.RangeStmt:
			ast.Inspect(n.Body, func(n ast.Node) bool {
				if _, ends := n.(*ast.ReturnStmt); ends {
					t.Error("the comparison ends early")
				}
				return true
			})
		}
		return true
	})
}

// callsOf gives the text of all that a function does with a name: the calls, from the
// outermost in, and anything else that is neither a call nor where the name is given its
// value.
func callsOf(f *ast.FuncDecl, name string) (found []string) {
	var within []ast.Node
	ast.Inspect(f.Body, func(n ast.Node) bool {
		if n == nil {
			within = within[:len(within)-1]
			return true
		}
		within = append(within, n)
		id, ok := n.(*ast.Ident)
		if !ok || id.Name != name {
			return true
		}
		if s, ok := within[len(within)-2].(*ast.SelectorExpr); ok && s.Sel == id { // another's field
			return true
		}
		if a, ok := within[len(within)-2].(*ast.AssignStmt); ok && slices.Contains(a.Lhs, ast.Expr(id)) {
			return true
		}
		calls := len(found)
		for _, outer := range within {
			if c, ok := outer.(*ast.CallExpr); ok {
				found = append(found, types.ExprString(c))
			}
		}
		if len(found) == calls {
			found = append(found, "no call")
		}
		return true
	})
	return found
}
