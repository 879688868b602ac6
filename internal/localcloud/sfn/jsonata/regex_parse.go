package jsonata

import (
	"errors"
	"unicode"
)

// The regular expressions of JavaScript (ECMA-262, section 22.2, with the
// leniency of its Annex B), over UTF-16 units. They are ours because an
// evaluation has to end by counting its work, not by a clock: the matcher
// backtracks on a stack of its own and pays for each instruction.

type regex struct {
	source     string
	ignoreCase bool
	multiline  bool
	prog       []inst
	groups     int // capturing, without the whole match
	slots      int // two for each group and the whole, then those of loops
	first      *charset
}

type subject struct{ units []uint16 }

func (m *machine) subject(s string) *subject {
	m.alloc(2 * len(s))
	m.work(len(s) / 16)
	return &subject{toUnits(s)}
}

type regexNodeKind uint8

const (
	reEmpty regexNodeKind = iota
	reChar
	reSet
	reSeq
	reAlt
	reGroup
	reRepeat
	reBackref
	reBOL
	reEOL
	reWordEdge
	reLook
)

type regexNode struct {
	kind     regexNodeKind
	unit     uint16
	set      *charset
	list     []*regexNode
	sub      *regexNode
	n        int // group or back reference; 0 of a group: not capturing
	min, max int // of a repeat; max -1: no end
	lazy     bool
	negate   bool // \B, (?!
	behind   bool
	from, to int // groups that a repeat contains
	name     string
}

var errRegex = errors.New

const maxRegexNesting = 250

type regexParser struct {
	src    []uint16
	pos    int
	groups int
	names  map[string]int
	depth  int
	total  int // groups in the whole pattern, counted beforehand
	named  bool
	java   bool // \s is only what ASCII has
}

func compileRegex(source, flags string, java bool) (*regex, error) {
	p := &regexParser{src: toUnits(source), names: map[string]int{}, java: java}
	p.count()
	tree, err := p.alternatives()
	if err != nil {
		return nil, err
	}
	if p.pos < len(p.src) {
		return nil, errRegex("unmatched ')'")
	}
	re := &regex{source: source, groups: p.groups, slots: 2 * (p.groups + 1)}
	for _, f := range flags {
		re.ignoreCase = re.ignoreCase || f == 'i'
		re.multiline = re.multiline || f == 'm'
	}
	if err := re.resolveNames(tree, p.names); err != nil {
		return nil, err
	}
	c := regexCompiler{re: re}
	c.emit(inst{op: iSave, n: 0})
	if err := c.node(tree, false); err != nil {
		return nil, err
	}
	c.emit(inst{op: iSave, n: 1})
	c.emit(inst{op: iMatch})
	if !re.ignoreCase {
		re.first = firstOf(tree)
	}
	return re, nil
}

func (re *regex) resolveNames(n *regexNode, names map[string]int) error {
	if n == nil {
		return nil
	}
	if n.kind == reBackref && n.name != "" {
		g, ok := names[n.name]
		if !ok {
			return errRegex("no group is named " + n.name)
		}
		n.n = g
	}
	for _, s := range n.list {
		if err := re.resolveNames(s, names); err != nil {
			return err
		}
	}
	return re.resolveNames(n.sub, names)
}

// count finds the groups, as a back reference may come before its group.
func (p *regexParser) count() {
	inClass := false
	for i := 0; i < len(p.src); i++ {
		switch p.src[i] {
		case '\\':
			i++
		case '[':
			inClass = true
		case ']':
			inClass = false
		case '(':
			if inClass {
				continue
			}
			if i+1 < len(p.src) && p.src[i+1] == '?' {
				if i+3 >= len(p.src) || p.src[i+2] != '<' || p.src[i+3] == '=' || p.src[i+3] == '!' {
					continue
				}
				p.named = true
			}
			p.total++
		}
	}
}

func (p *regexParser) peek() uint16 {
	if p.pos < len(p.src) {
		return p.src[p.pos]
	}
	return 0
}

func (p *regexParser) more() bool { return p.pos < len(p.src) }

func (p *regexParser) accept(s string) bool {
	if p.pos+len(s) > len(p.src) {
		return false
	}
	for i := range len(s) {
		if p.src[p.pos+i] != uint16(s[i]) {
			return false
		}
	}
	p.pos += len(s)
	return true
}

func (p *regexParser) alternatives() (*regexNode, error) {
	if p.depth++; p.depth > maxRegexNesting {
		return nil, errRegex("nested too deep")
	}
	defer func() { p.depth-- }()
	var alts []*regexNode
	for {
		seq := &regexNode{kind: reSeq}
		for p.more() && p.peek() != '|' && p.peek() != ')' {
			t, err := p.term()
			if err != nil {
				return nil, err
			}
			seq.list = append(seq.list, t)
		}
		alts = append(alts, seq)
		if !p.accept("|") {
			break
		}
	}
	if len(alts) == 1 {
		return alts[0], nil
	}
	return &regexNode{kind: reAlt, list: alts}, nil
}

func (p *regexParser) term() (*regexNode, error) {
	before := p.groups
	n, err := p.atom()
	if err != nil {
		return nil, err
	}
	least, most, lazy, ok, err := p.quantifier()
	if err != nil || !ok {
		return n, err
	}
	switch n.kind {
	case reBOL, reEOL, reWordEdge:
		return nil, errRegex("nothing to repeat")
	case reLook:
		if n.behind {
			return nil, errRegex("nothing to repeat")
		}
	}
	return &regexNode{kind: reRepeat, sub: n, min: least, max: most, lazy: lazy, from: before + 1, to: p.groups}, nil
}

func (p *regexParser) quantifier() (least, most int, lazy, ok bool, err error) {
	switch {
	case p.accept("*"):
		least, most = 0, -1
	case p.accept("+"):
		least, most = 1, -1
	case p.accept("?"):
		least, most = 0, 1
	case p.peek() == '{' && p.more():
		start := p.pos
		p.pos++
		var found bool
		if least, found = p.integer(); found {
			most = least
			if p.accept(",") {
				if most, found = p.integer(); !found {
					most = -1
				}
			}
		} else {
			p.pos = start
			return 0, 0, false, false, nil
		}
		if !p.accept("}") {
			p.pos = start
			return 0, 0, false, false, nil
		}
		if most >= 0 && most < least {
			return 0, 0, false, false, errRegex("numbers out of order in {} quantifier")
		}
	default:
		return 0, 0, false, false, nil
	}
	return least, most, p.accept("?"), true, nil
}

func (p *regexParser) integer() (n int, ok bool) {
	for p.more() && p.peek() >= '0' && p.peek() <= '9' {
		if n < 1<<24 {
			n = n*10 + int(p.peek()-'0')
		}
		ok = true
		p.pos++
	}
	return n, ok
}

func (p *regexParser) atom() (*regexNode, error) {
	c := p.peek()
	p.pos++
	switch c {
	case '^':
		return &regexNode{kind: reBOL}, nil
	case '$':
		return &regexNode{kind: reEOL}, nil
	case '.':
		return &regexNode{kind: reSet, set: setDot}, nil
	case '(':
		return p.group()
	case '[':
		set, err := p.class()
		return &regexNode{kind: reSet, set: set}, err
	case '\\':
		return p.escape()
	case '*', '+', '?':
		return nil, errRegex("nothing to repeat")
	case '{':
		p.pos--
		if _, _, _, ok, err := p.quantifier(); ok || err != nil {
			return nil, errRegex("nothing to repeat")
		}
		p.pos++
	}
	return &regexNode{kind: reChar, unit: c}, nil
}

func (p *regexParser) group() (*regexNode, error) {
	n := &regexNode{kind: reGroup}
	switch {
	case p.accept("?:"):
	case p.accept("?="):
		n.kind = reLook
	case p.accept("?!"):
		n.kind, n.negate = reLook, true
	case p.accept("?<="):
		n.kind, n.behind = reLook, true
	case p.accept("?<!"):
		n.kind, n.behind, n.negate = reLook, true, true
	case p.accept("?<"):
		name, err := p.groupName()
		if err != nil {
			return nil, err
		}
		if _, twice := p.names[name]; twice {
			return nil, errRegex("two groups are named " + name)
		}
		p.groups++
		n.n = p.groups
		p.names[name] = n.n
	case p.peek() == '?' && p.more():
		return nil, errRegex("invalid group")
	default:
		p.groups++
		n.n = p.groups
	}
	n.from = p.groups + 1
	sub, err := p.alternatives()
	if err != nil {
		return nil, err
	}
	if !p.accept(")") {
		return nil, errRegex("unterminated group")
	}
	n.sub, n.to = sub, p.groups
	return n, nil
}

func (p *regexParser) groupName() (string, error) {
	start := p.pos
	for p.more() && p.peek() != '>' {
		p.pos++
	}
	name := fromUnits(p.src[start:p.pos])
	if !p.accept(">") || name == "" {
		return "", errRegex("invalid group name")
	}
	for i, r := range name {
		if r != '$' && r != '_' && !unicode.IsLetter(r) && (i == 0 || !unicode.IsDigit(r)) {
			return "", errRegex("invalid group name")
		}
	}
	return name, nil
}

func (p *regexParser) escape() (*regexNode, error) {
	if !p.more() {
		return nil, errRegex("\\ at end of pattern")
	}
	switch c := p.peek(); c {
	case 'b', 'B':
		p.pos++
		return &regexNode{kind: reWordEdge, negate: c == 'B'}, nil
	case 'k':
		if p.named {
			p.pos++
			if !p.accept("<") {
				return nil, errRegex("invalid named reference")
			}
			name, err := p.groupName()
			return &regexNode{kind: reBackref, name: name}, err
		}
	case '1', '2', '3', '4', '5', '6', '7', '8', '9':
		start := p.pos
		if n, _ := p.integer(); n <= p.total {
			return &regexNode{kind: reBackref, n: n}, nil
		}
		p.pos = start
	}
	set, unit, err := p.charEscape(false)
	if set != nil {
		return &regexNode{kind: reSet, set: set}, err
	}
	return &regexNode{kind: reChar, unit: unit}, err
}

// charEscape reads what follows a backslash: a set or a unit.
func (p *regexParser) charEscape(inClass bool) (*charset, uint16, error) {
	if !p.more() {
		return nil, 0, errRegex("\\ at end of pattern")
	}
	c := p.peek()
	p.pos++
	switch c {
	case 'd':
		return setDigit, 0, nil
	case 'D':
		return notDigit, 0, nil
	case 'w':
		return setWord, 0, nil
	case 'W':
		return notWord, 0, nil
	case 's':
		if p.java {
			return setSpaceASCII, 0, nil
		}
		return setSpace, 0, nil
	case 'S':
		if p.java {
			return notSpaceASCII, 0, nil
		}
		return notSpace, 0, nil
	case 't':
		return nil, '\t', nil
	case 'n':
		return nil, '\n', nil
	case 'v':
		return nil, '\v', nil
	case 'f':
		return nil, '\f', nil
	case 'r':
		return nil, '\r', nil
	case 'b':
		if inClass {
			return nil, '\b', nil
		}
	case 'c':
		if l := p.peek(); p.more() && (l|32 >= 'a' && l|32 <= 'z' || inClass && (l >= '0' && l <= '9' || l == '_')) {
			p.pos++
			return nil, l & 31, nil
		}
		p.pos--
		return nil, '\\', nil
	case 'x':
		if u, ok := p.hex(2); ok {
			return nil, u, nil
		}
	case 'u':
		if u, ok := p.hex(4); ok {
			return nil, u, nil
		}
	case '0', '1', '2', '3', '4', '5', '6', '7':
		u := c - '0'
		for range 2 {
			if d := p.peek(); p.more() && d >= '0' && d <= '7' && u*8+d-'0' <= 0xFF {
				u = u*8 + d - '0'
				p.pos++
			}
		}
		return nil, u, nil
	}
	return nil, c, nil
}

func (p *regexParser) hex(digits int) (uint16, bool) {
	if p.pos+digits > len(p.src) {
		return 0, false
	}
	var u uint16
	for _, c := range p.src[p.pos : p.pos+digits] {
		switch {
		case c >= '0' && c <= '9':
			u = u<<4 | (c - '0')
		case c|32 >= 'a' && c|32 <= 'f':
			u = u<<4 | (c | 32 - 'a' + 10)
		default:
			return 0, false
		}
	}
	p.pos += digits
	return u, true
}

func (p *regexParser) class() (*charset, error) {
	out := &charset{}
	negate := p.accept("^")
	for {
		if !p.more() {
			return nil, errRegex("unterminated character class")
		}
		if p.accept("]") {
			break
		}
		loSet, lo, err := p.classAtom()
		if err != nil {
			return nil, err
		}
		if p.peek() == '-' && p.pos+1 < len(p.src) && p.src[p.pos+1] != ']' {
			p.pos++
			hiSet, hi, err := p.classAtom()
			if err != nil {
				return nil, err
			}
			if loSet == nil && hiSet == nil {
				if hi < lo {
					return nil, errRegex("range out of order in character class")
				}
				out.add(lo, hi)
				continue
			}
			out.add('-', '-')
			if hiSet != nil {
				out.addSet(hiSet)
			} else {
				out.add(hi, hi)
			}
		}
		if loSet != nil {
			out.addSet(loSet)
		} else {
			out.add(lo, lo)
		}
	}
	out.negate = negate
	return out, nil
}

func (p *regexParser) classAtom() (*charset, uint16, error) {
	c := p.peek()
	p.pos++
	if c == '\\' {
		return p.charEscape(true)
	}
	return nil, c, nil
}

// firstOf gives a set that every match begins with, or nil.
func firstOf(n *regexNode) *charset {
	switch n.kind {
	case reChar:
		return makeSet(n.unit, n.unit)
	case reSet:
		return n.set
	case reGroup:
		return firstOf(n.sub)
	case reRepeat:
		if n.min > 0 {
			return firstOf(n.sub)
		}
	case reSeq:
		if len(n.list) > 0 {
			return firstOf(n.list[0])
		}
	}
	return nil
}
