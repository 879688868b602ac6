package archtest

import (
	"go/scanner"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

// A line ends before column 120, a tab being four columns.
const maxColumns = 119

// tooLong are the lines of a Go file that are longer, by number. A line in the middle
// of a raw string is data and has its length, a directive cannot be broken, and nor can
// a line that is one word, such as a URL.
func tooLong(src []byte) []int {
	fset := token.NewFileSet()
	file := fset.AddFile("", fset.Base(), len(src))
	var s scanner.Scanner
	s.Init(file, src, nil, scanner.ScanComments)
	free := map[int]bool{}
	for {
		pos, tok, lit := s.Scan()
		if tok == token.EOF {
			break
		}
		first := file.Line(pos)
		switch {
		case tok == token.STRING && lit[0] == '`':
			last := file.Line(pos + token.Pos(len(lit)) - 1)
			for line := first; line <= last; line++ {
				free[line] = true
			}
		case tok == token.COMMENT && (strings.HasPrefix(lit, "//go:") || strings.HasPrefix(lit, "//nolint")):
			free[first] = true
		}
	}
	var list []int
	for i, line := range strings.Split(string(src), "\n") {
		columns := utf8.RuneCountInString(strings.ReplaceAll(line, "\t", "    "))
		oneWord := len(strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "//"))) <= 1
		if columns > maxColumns && !free[i+1] && !oneWord {
			list = append(list, i+1)
		}
	}
	return list
}

func TestLinesEndBeforeColumn120(t *testing.T) {
	tr := theTree(t)
	for _, f := range tr.files {
		if f.generated {
			continue
		}
		b, err := os.ReadFile(filepath.Join(tr.root, filepath.FromSlash(f.name)))
		if err != nil {
			t.Fatal(err)
		}
		list := tooLong(b)
		if len(list) > 0 {
			t.Errorf("%s: lines end after column %d: %v", f.name, maxColumns, list)
		}
	}
}

// TestPagesEndBeforeColumn120: tables, code and links too long to break excepted.
func TestPagesEndBeforeColumn120(t *testing.T) {
	for name, text := range theTree(t).markdown(t) {
		code := false
		for i, line := range strings.Split(text, "\n") {
			if strings.HasPrefix(strings.TrimSpace(line), "```") {
				code = !code
			}
			if code || strings.HasPrefix(line, "|") || strings.HasPrefix(line, "    ") {
				continue
			}
			if n := utf8.RuneCountInString(line); n > maxColumns {
				t.Errorf("%s:%d ends in column %d, after %d", name, i+1, n, maxColumns)
			}
		}
	}
}

func TestLongLinesAreSeen(t *testing.T) {
	long := strings.Repeat("word ", 24)
	for _, c := range []struct {
		src  string
		want int
	}{
		{"package p\n// " + long + "\n", 1},
		{"package p\nvar a = \"" + long + "\"\n", 1},
		{"package p\nvar a = `\n" + long + "\n`\n", 0},
		{"package p\n\nfunc f() {\n" + strings.Repeat("\t", 29) + "f(1, 2)\n}\n", 1},
		{"package p\nvar a = f() //nolint:gosec // " + long + "\n", 0},
		{"package p\n// https://example.com/" + strings.Repeat("x", 120) + "\n", 0},
		{"package p\nvar a = 1\n", 0},
	} {
		if got := len(tooLong([]byte(c.src))); got != c.want {
			t.Errorf("%q: %d long lines, want %d", c.src, got, c.want)
		}
	}
}
