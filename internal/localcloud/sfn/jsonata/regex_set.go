package jsonata

import (
	"unicode"
)

type charset struct {
	ascii  [2]uint64
	ranges [][2]uint16
	negate bool
}

func (c *charset) add(lo, hi uint16) {
	for u := lo; u <= hi && u < 128; u++ {
		c.ascii[u>>6] |= 1 << (u & 63)
	}
	if hi >= 128 {
		c.ranges = append(c.ranges, [2]uint16{max(lo, 128), hi})
	}
}

func (c *charset) addSet(o *charset) {
	c.ascii[0] |= o.ascii[0]
	c.ascii[1] |= o.ascii[1]
	c.ranges = append(c.ranges, o.ranges...)
}

func (c *charset) has(u uint16) bool { return c.in(u) != c.negate }

func (c *charset) in(u uint16) bool {
	if u < 128 {
		return c.ascii[u>>6]&(1<<(u&63)) != 0
	}
	for _, r := range c.ranges {
		if u >= r[0] && u <= r[1] {
			return true
		}
	}
	return false
}

// hasFolded is has without regard to case.
func (c *charset) hasFolded(u uint16) bool {
	if c.in(u) {
		return !c.negate
	}
	canon := canonical(u)
	for r := unicode.SimpleFold(rune(u)); r != rune(u); r = unicode.SimpleFold(r) {
		if r <= 0xFFFF && canonical(uint16(r)) == canon && c.in(uint16(r)) {
			return !c.negate
		}
	}
	return c.negate
}

// canonical is the form in which letters are compared without case.
func canonical(u uint16) uint16 {
	if u < 128 {
		if u >= 'a' && u <= 'z' {
			return u - 32
		}
		return u
	}
	if r := unicode.ToUpper(rune(u)); r >= 128 && r <= 0xFFFF && r != 'ß' {
		return uint16(r)
	}
	return u
}

func makeSet(pairs ...uint16) *charset {
	c := &charset{}
	for i := 0; i < len(pairs); i += 2 {
		c.add(pairs[i], pairs[i+1])
	}
	return c
}

func negated(c *charset) *charset {
	n := *c
	n.negate = !c.negate
	return &n
}

var (
	setDigit = makeSet('0', '9')
	setWord  = makeSet('0', '9', 'A', 'Z', '_', '_', 'a', 'z')
	setSpace = makeSet('\t', '\r', ' ', ' ', 0xA0, 0xA0, 0x1680, 0x1680, 0x2000, 0x200A, 0x2028, 0x2029, 0x202F,
		0x202F, 0x205F, 0x205F, 0x3000, 0x3000, 0xFEFF, 0xFEFF)
	notDigit = makeSet(0, '0'-1, '9'+1, 0xFFFF)
	notWord  = makeSet(0, '0'-1, '9'+1, 'A'-1, 'Z'+1, '_'-1, '_'+1, 'a'-1, 'z'+1, 0xFFFF)
	notSpace = makeSet(0, '\t'-1, '\r'+1, ' '-1, ' '+1, 0x9F, 0xA1, 0x167F, 0x1681, 0x1FFF, 0x200B, 0x2027, 0x202A,
		0x202E, 0x2030, 0x205E, 0x2060, 0x2FFF, 0x3001, 0xFEFE, 0xFF00, 0xFFFF)
	setSpaceASCII = makeSet('\t', '\r', ' ', ' ')
	notSpaceASCII = makeSet(0, '\t'-1, '\r'+1, ' '-1, ' '+1, 0xFFFF)

	setLine = makeSet('\n', '\n', '\r', '\r', 0x2028, 0x2029)
	setDot  = negated(setLine)
)
