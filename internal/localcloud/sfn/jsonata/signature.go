package jsonata

import "strings"

// signature is what a function says of its arguments, as in <s-nn?:s>. Types
// are one letter each; m stands for a missing argument.
type signature struct {
	text    string
	params  []sigParam
	hasPlus bool
}

type sigParam struct {
	letters  string // accepted types
	kind     string // the letter, or the choice in parentheses
	subtype  string // of an array or function
	typed    bool   // has a subtype
	context  bool   // the context stands in when the argument is left out
	optional bool
	many     bool
}

func parseSignature(text string) (*signature, *Error) {
	s := &signature{text: text}
	last := func() *sigParam {
		if len(s.params) == 0 {
			s.params = append(s.params, sigParam{optional: true})
		}
		return &s.params[len(s.params)-1]
	}
	for i := 1; i < len(text); i++ {
		switch c := text[i]; c {
		case ':':
			return s, nil
		case 's', 'n', 'b', 'l', 'o':
			s.params = append(s.params, sigParam{letters: string(c) + "m", kind: string(c)})
		case 'a', 'x':
			s.params = append(s.params, sigParam{letters: "asnblfom", kind: string(c)})
		case 'j':
			s.params = append(s.params, sigParam{letters: "asnblom", kind: "j"})
		case 'f':
			s.params = append(s.params, sigParam{letters: "f", kind: "f"})
		case '-':
			last().context, last().optional = true, true
		case '?':
			last().optional = true
		case '+':
			last().many, s.hasPlus = true, true
		case '(':
			end := closing(text, i, '(', ')')
			choice := text[i+1 : end]
			if strings.Contains(choice, "<") {
				return nil, &Error{Code: "S0402", Value: choice, Position: i}
			}
			s.params = append(s.params, sigParam{letters: choice + "m", kind: "(" + choice + ")"})
			i = end
		case '<':
			if p := last(); p.kind == "a" || p.kind == "f" {
				end := closing(text, i, '<', '>')
				p.subtype, p.typed = text[i+1:end], true
				i = min(end, len(text)-1)
			} else {
				return nil, &Error{Code: "S0401", Value: p.kind, Position: i}
			}
		}
	}
	return s, nil
}

func mustSignature(text string) *signature {
	s, err := parseSignature(text)
	if err != nil {
		panic(err)
	}
	return s
}

func closing(text string, start int, open, shut byte) int {
	depth := 1
	for i := start + 1; i < len(text); i++ {
		switch text[i] {
		case shut:
			if depth--; depth == 0 {
				return i
			}
		case open:
			depth++
		}
	}
	return len(text)
}

func typeLetter(v any) byte {
	switch v.(type) {
	case string:
		return 's'
	case float64:
		return 'n'
	case bool:
		return 'b'
	case nil:
		return 'l'
	case []any, *array:
		return 'a'
	case *undefined:
		return 'm'
	case function:
		return 'f'
	}
	return 'o'
}

func (p *sigParam) accepts(letter byte) bool {
	return strings.IndexByte(p.letters, letter) >= 0
}

// matchParams spreads the argument types over the parameters: as many as each
// can take, in order, giving back where later ones go short. counts receives
// how many each took. A partial match need not use all arguments.
func matchParams(params []sigParam, types []byte, counts []int, partial bool) (used int, ok bool) {
	// dead[i][j]: parameters from i on do not fit arguments from j on.
	var dead map[[2]int]bool
	var match func(i, j int) bool
	match = func(i, j int) bool {
		if i == len(params) {
			used = j
			return partial || j == len(types)
		}
		if dead[[2]int{i, j}] {
			return false
		}
		p := &params[i]
		most := 0
		for j+most < len(types) && (most == 0 || p.many) && p.accepts(types[j+most]) {
			most++
		}
		least := 1
		if p.optional {
			least = 0
		}
		for n := most; n >= least; n-- {
			if match(i+1, j+n) {
				counts[i] = n
				return true
			}
		}
		if dead == nil {
			dead = map[[2]int]bool{}
		}
		dead[[2]int{i, j}] = true
		return false
	}
	ok = match(0, 0)
	return used, ok
}

var subtypeNames = map[string]string{
	"a": "arrays", "b": "booleans", "f": "functions", "n": "numbers", "o": "objects", "s": "strings",
}

// apply checks the arguments and fixes them up: the context for one left
// out, an array where a single value was given for one.
func (s *signature) apply(args []any, context any) ([]any, *Error) {
	var typeBuf [8]byte
	types := typeBuf[:0]
	for _, a := range args {
		types = append(types, typeLetter(a))
	}
	var countBuf [8]int
	counts := countBuf[:]
	if len(s.params) > len(countBuf) {
		counts = make([]int, len(s.params))
	}
	counts = counts[:len(s.params)]

	direct := len(args) == len(s.params) && !s.hasPlus
	for i := 0; direct && i < len(types); i++ {
		direct = s.params[i].accepts(types[i])
		counts[i] = 1
	}
	if direct {
		same := true
		for i := range s.params {
			if s.params[i].kind == "a" && types[i] != 'm' {
				same = false
			}
		}
		if same {
			return args, nil
		}
	} else {
		clear(counts)
		if _, ok := matchParams(s.params, types, counts, false); !ok {
			return nil, s.reject(args, types)
		}
	}

	out := make([]any, 0, max(len(s.params), len(args)))
	next := 0
	arg := func() any {
		if next < len(args) {
			return args[next]
		}
		return Undefined
	}
	for i := range s.params {
		p := &s.params[i]
		if counts[i] == 0 {
			if !p.context {
				out = append(out, arg())
				next++
				continue
			}
			if !p.accepts(typeLetter(context)) {
				return nil, &Error{Code: "T0411", Value: context, Index: next + 1}
			}
			out = append(out, context)
			continue
		}
		taken := types[next : next+counts[i]]
		for _, letter := range taken {
			v := arg()
			if p.kind == "a" && letter != 'm' {
				var err *Error
				if v, err = p.arrayArg(v, string(taken), next); err != nil {
					return nil, err
				}
			}
			out = append(out, v)
			next++
		}
	}
	return out, nil
}

func (p *sigParam) arrayArg(v any, taken string, at int) (any, *Error) {
	items, isArr := itemsOf(v)
	if p.typed {
		ok := true
		if !isArr {
			ok = taken == p.subtype
		} else if len(items) > 0 {
			first := typeLetter(items[0])
			ok = strings.HasPrefix(p.subtype, string(first))
			for _, item := range items {
				ok = ok && typeLetter(item) == first
			}
		}
		if !ok {
			e := &Error{Code: "T0412", Value: v, Index: at + 1}
			if name, known := subtypeNames[p.subtype]; known {
				e.inserts = map[string]string{"type": name}
			}
			return nil, e
		}
	}
	if isArr {
		return v, nil
	}
	return &array{items: []any{v}}, nil
}

// reject finds the argument at fault: the first that no longer fits.
func (s *signature) reject(args []any, types []byte) *Error {
	good := 0
	counts := make([]int, len(s.params))
	for i := range s.params {
		used, ok := matchParams(s.params[:i+1], types, counts, true)
		if !ok {
			break
		}
		good = used
	}
	var bad any = Undefined
	if good < len(args) {
		bad = args[good]
	}
	return &Error{Code: "T0410", Value: bad, Index: good + 1}
}
