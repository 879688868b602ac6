package jsonata

import "strings"

// How tightly an operator binds to what stands on its left.
var bindingPower = map[string]int{
	".": 75, "[": 80, "{": 70, "(": 80, "@": 80, "#": 80,
	"?": 20, "+": 50, "-": 50, "*": 60, "/": 60, "%": 60,
	"=": 40, "<": 40, ">": 40, "!=": 40, "<=": 40, ">=": 40, "^": 40, "~>": 40,
	"and": 30, "or": 25, "in": 40, "&": 50, ":=": 10,
}

const negationPower = 70

// maxParseDepth bounds the nesting of an expression's text, maxTreeDepth the
// height of its tree, which a long chain of operators makes high as well.
const (
	maxParseDepth = 1000
	maxTreeDepth  = 5000
)

// parser is a top-down operator precedence parser.
type parser struct {
	lex   lexer
	tok   token
	depth int
	java  bool // of regular expressions
}

func parse(src string, java bool) *node {
	p := parser{lex: lexer{src: src}, java: java}
	p.advance(false)
	n := p.expression(0)
	if p.tok.kind != tokEnd {
		throw(p.tok.fault(&Error{Code: "S0201"}))
	}
	return n
}

func (p *parser) advance(afterOperand bool) {
	p.tok = p.lex.next(afterOperand)
	if p.tok.is("!") || p.tok.is("~") {
		throw((&Error{Code: "S0204"}).at(p.tok.pos).token(p.tok.text))
	}
}

// expect passes over the operator that has to come now.
func (p *parser) expect(op string, afterOperand bool) {
	if !p.tok.is(op) {
		code := "S0202"
		if p.tok.kind == tokEnd {
			code = "S0203"
		}
		throw(p.tok.fault(&Error{Code: code, Value: op}))
	}
	p.advance(afterOperand)
}

func (p *parser) power() int {
	if p.tok.kind != tokOperator {
		return 0
	}
	return bindingPower[p.tok.text]
}

func (p *parser) expression(power int) *node {
	if p.depth++; p.depth > maxParseDepth {
		throw((&Error{Code: "U1001", Message: "Stack overflow error: the expression is nested too deep"}).
			at(p.tok.pos))
	}
	t := p.tok
	p.advance(true)
	left := p.operand(t)
	for power < p.power() {
		t = p.tok
		p.advance(false)
		left = p.operator(t, left)
	}
	p.depth--
	return left
}

// list reads expressions up to the closing token, which it passes.
func (p *parser) list(closing string, element func() *node) []*node {
	var out []*node
	if !p.tok.is(closing) {
		for {
			out = append(out, element())
			if !p.tok.is(",") {
				break
			}
			p.advance(false)
		}
	}
	p.expect(closing, true)
	return out
}

// operand parses what begins with t.
func (p *parser) operand(t token) *node {
	n := &node{pos: t.pos, text: t.text, val: t.val}
	switch t.kind {
	case tokName:
		n.op = opName
	case tokVariable:
		n.op = opVariable
	case tokString:
		n.op, n.val = opString, t.text
	case tokNumber:
		n.op = opNumber
	case tokConstant:
		n.op = opConstant
	case tokRegex:
		n.op = opRegex
		re, err := compileRegex(t.val.(string), t.text, p.java)
		if err != nil {
			throw((&Error{Code: "S0303", inserts: map[string]string{"reason": err.Error()}}).at(t.pos))
		}
		n.regex = re
	case tokEnd:
		n.op = opEnd
	case tokOperator:
		p.prefix(n)
	}
	return n
}

func (p *parser) prefix(n *node) {
	switch n.text {
	case "and", "or", "in":
		n.op = opKeyword
	case "-":
		n.op = opNegate
		n.a = p.expression(negationPower)
	case "*":
		n.op = opWildcard
	case "**":
		n.op = opDescendant
	case "%":
		n.op = opParent
	case "(":
		n.op = opBlock
		for !p.tok.is(")") {
			n.list = append(n.list, p.expression(0))
			if !p.tok.is(";") {
				break
			}
			p.advance(false)
		}
		p.expect(")", true)
	case "[":
		n.op = opArray
		n.list = p.list("]", func() *node {
			item := p.expression(0)
			if !p.tok.is("..") {
				return item
			}
			r := &node{op: opBinary, text: "..", pos: p.tok.pos, a: item}
			p.advance(false)
			r.b = p.expression(0)
			return r
		})
	case "{":
		n.op = opObject
		n.pairs = p.objectPairs()
	case "|":
		n.op = opTransform
		n.a = p.expression(0)
		p.expect("|", false)
		n.b = p.expression(0)
		if p.tok.is(",") {
			p.advance(false)
			n.c = p.expression(0)
		}
		p.expect("|", false)
	default:
		throw((&Error{Code: "S0211"}).at(n.pos).token(n.text))
	}
}

func (p *parser) objectPairs() [][2]*node {
	var pairs [][2]*node
	if !p.tok.is("}") {
		for {
			key := p.expression(0)
			p.expect(":", false)
			pairs = append(pairs, [2]*node{key, p.expression(0)})
			if !p.tok.is(",") {
				break
			}
			p.advance(false)
		}
	}
	p.expect("}", true)
	return pairs
}

// operator parses what follows left and the operator t.
func (p *parser) operator(t token, left *node) *node {
	n := &node{op: opBinary, pos: t.pos, text: t.text, a: left}
	switch t.text {
	case "(":
		return p.call(n)
	case "[":
		if p.tok.is("]") {
			// Empty brackets ask to keep an array of one item an array.
			step := left
			for step.op == opFilter {
				step = step.a
			}
			step.keepArray = true
			p.advance(false)
			return left
		}
		n.op = opFilter
		n.b = p.expression(0)
		p.expect("]", true)
	case "{":
		n.op = opGroup
		n.pairs = p.objectPairs()
	case "^":
		n.op = opSort
		p.expect("(", false)
		for {
			var term sortTerm
			if term.descending = p.tok.is(">"); term.descending || p.tok.is("<") {
				p.advance(false)
			}
			term.expr = p.expression(0)
			n.terms = append(n.terms, term)
			if !p.tok.is(",") {
				break
			}
			p.advance(false)
		}
		p.expect(")", false)
	case ":=":
		if left.op != opVariable {
			throw((&Error{Code: "S0212"}).at(left.pos).token(left.text))
		}
		n.op = opBind
		n.b = p.expression(bindingPower[":="] - 1)
	case "@", "#":
		n.op = opFocus
		if t.text == "#" {
			n.op = opIndexBy
		}
		n.b = p.expression(bindingPower[t.text])
		if n.b.op != opVariable {
			throw((&Error{Code: "S0214"}).at(n.b.pos).token(t.text))
		}
	case "?":
		n.op = opCondition
		n.b = p.expression(0)
		if p.tok.is(":") {
			p.advance(false)
			n.c = p.expression(0)
		}
	case ".":
		n.op = opStep
		n.b = p.expression(bindingPower["."])
	case "~>":
		n.op = opApply
		n.b = p.expression(bindingPower["~>"])
	default:
		n.b = p.expression(bindingPower[t.text])
	}
	return n
}

// call parses arguments, and the rest of a lambda when the name called is
// one of the two words for it.
func (p *parser) call(n *node) *node {
	n.op = opCall
	n.list = p.list(")", func() *node {
		if p.tok.is("?") {
			hole := &node{op: opPlaceholder, pos: p.tok.pos, text: "?"}
			n.op = opPartial
			p.advance(false)
			return hole
		}
		return p.expression(0)
	})
	if n.a.op != opName || n.a.text != "function" && n.a.text != "λ" {
		return n
	}
	def := &lambdaDef{}
	for i, arg := range n.list {
		if arg.op != opVariable {
			throw((&Error{Code: "S0208", Value: float64(i + 1)}).at(arg.pos).token(arg.text))
		}
		def.params = append(def.params, arg.text)
	}
	if p.tok.is("<") {
		def.sig = p.signature()
	}
	p.expect("{", false)
	def.body = p.expression(0)
	p.expect("}", false)
	return &node{op: opLambda, pos: n.pos, text: n.text, lambda: def, keepArray: n.keepArray}
}

// signature gathers the text between angle brackets, which is a little
// language of its own.
func (p *parser) signature() *signature {
	start := p.tok.pos
	var text strings.Builder
	text.WriteByte('<')
	for depth := 1; depth > 0 && !p.tok.is("{") && p.tok.kind != tokEnd; {
		p.advance(false)
		switch {
		case p.tok.is(">"):
			depth--
		case p.tok.is("<"):
			depth++
		}
		text.WriteString(p.tok.written())
	}
	p.expect(">", false)
	sig, err := parseSignature(text.String())
	if err != nil {
		err.Position, err.hasPos = start+err.Position, true
		throw(err)
	}
	return sig
}
