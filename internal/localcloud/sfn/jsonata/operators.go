package jsonata

import (
	"math"
)

func (m *machine) binary(n *node, input any, env *frame) any {
	left := m.eval(n.a, input, env)
	switch n.binop {
	case binAnd:
		return m.isTrue(left) && m.isTrue(m.eval(n.b, input, env))
	case binOr:
		return m.isTrue(left) || m.isTrue(m.eval(n.b, input, env))
	}
	right := m.eval(n.b, input, env)
	switch n.binop {
	case binEq:
		if left == Undefined || right == Undefined {
			return false
		}
		return m.equal(left, right, 0)
	case binNe:
		if left == Undefined || right == Undefined {
			return false
		}
		return !m.equal(left, right, 0)
	case binConcat:
		return m.concat(n, left, right)
	case binIn:
		if left == Undefined || right == Undefined {
			return false
		}
		items, ok := itemsOf(right)
		if !ok {
			return sameIdentity(left, right)
		}
		m.work(len(items))
		for _, item := range items {
			if sameIdentity(left, item) {
				return true
			}
		}
		return false
	case binRange:
		return m.span(n, left, right)
	case binLt, binLe, binGt, binGe:
		return m.compare(n, left, right)
	}
	x, ok := operand(n, left)
	if !ok && left != Undefined {
		throw((&Error{Code: "T2001", Value: left}).at(n.pos).token(n.text))
	}
	y, ok := operand(n, right)
	if !ok && right != Undefined {
		throw((&Error{Code: "T2002", Value: right}).at(n.pos).token(n.text))
	}
	if left == Undefined || right == Undefined {
		return Undefined
	}
	switch n.binop {
	case binAdd:
		return boxFloat(x + y)
	case binSub:
		return boxFloat(x - y)
	case binMul:
		return boxFloat(x * y)
	case binDiv:
		return boxFloat(x / y)
	default:
		return boxFloat(math.Mod(x, y))
	}
}

func operand(n *node, v any) (float64, bool) {
	f, ok := v.(float64)
	if !ok || math.IsNaN(f) {
		return 0, false
	}
	if math.IsInf(f, 0) {
		throw((&Error{Code: "D1001", Value: f}).at(n.pos).token(n.text))
	}
	return f, true
}

func comparable(v any) bool {
	switch v.(type) {
	case string, float64, *undefined:
		return true
	}
	return false
}

func (m *machine) compare(n *node, left, right any) any {
	if !comparable(left) || !comparable(right) {
		bad := left
		if left == Undefined || comparable(left) {
			bad = right
		}
		throw((&Error{Code: "T2010", Value: bad}).at(n.pos).token(n.text))
	}
	if left == Undefined || right == Undefined {
		return Undefined
	}
	switch x := left.(type) {
	case float64:
		if y, ok := right.(float64); ok {
			switch n.binop {
			case binLt:
				return x < y
			case binLe:
				return x <= y
			case binGt:
				return x > y
			default:
				return x >= y
			}
		}
	case string:
		if y, ok := right.(string); ok {
			m.work(min(len(x), len(y)) / 256)
			switch n.binop {
			case binLt:
				return lessString(x, y)
			case binLe:
				return !lessString(y, x)
			case binGt:
				return lessString(y, x)
			default:
				return !lessString(x, y)
			}
		}
	}
	throw((&Error{Code: "T2009", Value: left, Value2: right}).at(n.pos).token(n.text))
	return nil
}

func (m *machine) concat(n *node, left, right any) any {
	str := func(v any) string {
		switch s := v.(type) {
		case string:
			return s
		case *undefined:
			return ""
		}
		out, err := m.stringify(v, false)
		if err != nil {
			throw(err.at(n.pos).token("&"))
		}
		return out
	}
	x, y := str(left), str(right)
	m.fits(int64(len(x) + len(y)))
	m.alloc(len(x) + len(y))
	return concat(x, y)
}

// maxRange is the language's own limit.
const maxRange = 1e7

// span is the range operator.
func (m *machine) span(n *node, left, right any) any {
	whole := func(v any, code string) float64 {
		f, ok := v.(float64)
		if v != Undefined && (!ok || f != math.Trunc(f) || math.IsInf(f, 0)) {
			throw((&Error{Code: code, Value: v}).at(n.pos).token(".."))
		}
		return f
	}
	from, to := whole(left, "T2003"), whole(right, "T2004")
	if left == Undefined || right == Undefined || from > to {
		return Undefined
	}
	size := to - from + 1
	if size > maxRange {
		throw((&Error{Code: "D2014", Value: size}).at(n.pos).token(".."))
	}
	count := int(size)
	m.fits(8 * int64(count))
	m.alloc((slotSize + 8) * count)
	m.work(count / 8)
	out := newSequence(make([]any, count)...)
	for i := range out.items {
		out.items[i] = boxFloat(from + float64(i))
	}
	return out
}
