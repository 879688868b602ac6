package expr

import (
	"strings"
	"sync"
	"unicode"
)

type tokenKind int

const (
	tokenEnd tokenKind = iota
	tokenWord
	tokenName  // #n
	tokenValue // :v
	tokenNumber
	tokenSymbol
)

type token struct {
	kind tokenKind
	text string
	at   int
}

// lexed are the tokens of expressions that have been seen: an application uses
// the same few all the time.
var lexed struct {
	sync.RWMutex
	tokens map[string][]token
}

// maxLexed bounds how many are kept.
const maxLexed = 1000

// tokensOf are an expression's tokens, which nobody may change.
func tokensOf(src string) ([]token, error) {
	lexed.RLock()
	tokens, ok := lexed.tokens[src]
	lexed.RUnlock()
	if ok {
		return tokens, nil
	}
	tokens, err := lex(src)
	if err != nil {
		return nil, err
	}
	lexed.Lock()
	defer lexed.Unlock()
	if lexed.tokens == nil || len(lexed.tokens) >= maxLexed {
		lexed.tokens = map[string][]token{}
	}
	lexed.tokens[src] = tokens
	return tokens, nil
}

// lex cuts an expression into tokens.
func lex(src string) ([]token, error) {
	var tokens []token
	for i := 0; i < len(src); {
		c := rune(src[i])
		start := i
		switch {
		case unicode.IsSpace(c):
			i++
			continue
		case c == '#' || c == ':':
			i++
			for i < len(src) && isWord(src[i]) {
				i++
			}
			if i == start+1 {
				return nil, errorf("Syntax error; token: %q, near: %q", src[start:i], around(src, tokens, start))
			}
			kind := tokenName
			if c == ':' {
				kind = tokenValue
			}
			tokens = append(tokens, token{kind, src[start:i], start})
		case c >= '0' && c <= '9':
			for i < len(src) && src[i] >= '0' && src[i] <= '9' {
				i++
			}
			tokens = append(tokens, token{tokenNumber, src[start:i], start})
		case isWord(src[i]):
			for i < len(src) && isWord(src[i]) {
				i++
			}
			tokens = append(tokens, token{tokenWord, src[start:i], start})
		case strings.HasPrefix(src[i:], "<=") || strings.HasPrefix(src[i:], ">=") || strings.HasPrefix(src[i:], "<>"):
			i += 2
			tokens = append(tokens, token{tokenSymbol, src[start:i], start})
		case strings.ContainsRune("=<>(),.[]+-", c):
			i++
			tokens = append(tokens, token{tokenSymbol, src[start:i], start})
		default:
			return nil, errorf("Syntax error; token: %q, near: %q", string(c), around(src, tokens, start))
		}
	}
	return append(tokens, token{tokenEnd, "<EOF>", len(src)}), nil
}

func isWord(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// near is the text from the token before one to the token after it, as messages show it.
func near(src string, tokens []token, at int) string {
	first, last := tokens[max(0, at-1)], tokens[min(at+1, len(tokens)-1)]
	end := last.at
	if last.kind != tokenEnd {
		end += len(last.text)
	}
	return strings.TrimRightFunc(src[first.at:end], unicode.IsSpace)
}

// around is near for a character that begins no token: before are the tokens before it.
func around(src string, before []token, at int) string {
	first := at
	if n := len(before); n > 0 {
		first = before[n-1].at
	}
	next := at + 1
	for next < len(src) && unicode.IsSpace(rune(src[next])) {
		next++
	}
	end := min(next+1, len(src))
	for end < len(src) && isWord(src[next]) && isWord(src[end]) {
		end++
	}
	return src[first:end]
}
