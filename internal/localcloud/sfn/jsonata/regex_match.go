package jsonata

type instOp uint8

const (
	iChar    instOp = iota // one unit
	iSet                   // one of a set
	iSplit                 // go on at x, or else at y
	iJump                  // go on at x
	iSave                  // note the position in slot n
	iForget                // clear the captures x to y
	iMark                  // note the position in slot n, of a loop
	iMoved                 // fail unless the position left slot n
	iBOL                   // assertions
	iEOL                   //
	iWord                  // n=1: no word edge
	iBackref               // what group n matched
	iLook                  // body follows; go on at x. n&1: negative
	iLookEnd               // the body has matched
	iMatch                 //
	iRunSet                // as many of a set as there are, then give back; y: at least
)

type inst struct {
	op       instOp
	backward bool // reads towards the start, within a look behind
	unit     uint16
	n        int
	x, y     int
	set      *charset
}

// maxProgram bounds what nested counted repeats unfold to.
const maxProgram = 20000

type regexCompiler struct{ re *regex }

func (c *regexCompiler) emit(i inst) int {
	c.re.prog = append(c.re.prog, i)
	return len(c.re.prog) - 1
}

func (c *regexCompiler) position() int { return len(c.re.prog) }

func (c *regexCompiler) node(n *regexNode, back bool) error {
	if c.position() > maxProgram {
		return errRegex("pattern too large")
	}
	switch n.kind {
	case reChar:
		u := n.unit
		if c.re.ignoreCase {
			u = canonical(u)
		}
		c.emit(inst{op: iChar, unit: u, backward: back})
	case reSet:
		c.emit(inst{op: iSet, set: n.set, backward: back})
	case reSeq:
		for i := range n.list {
			part := n.list[i]
			if back {
				part = n.list[len(n.list)-1-i]
			}
			if err := c.node(part, back); err != nil {
				return err
			}
		}
	case reAlt:
		var ends []int
		for i, alt := range n.list {
			split := -1
			if i < len(n.list)-1 {
				split = c.emit(inst{op: iSplit})
				c.re.prog[split].x = c.position()
			}
			if err := c.node(alt, back); err != nil {
				return err
			}
			if split >= 0 {
				ends = append(ends, c.emit(inst{op: iJump}))
				c.re.prog[split].y = c.position()
			}
		}
		for _, e := range ends {
			c.re.prog[e].x = c.position()
		}
	case reGroup:
		if n.n == 0 {
			return c.node(n.sub, back)
		}
		open, shut := 2*n.n, 2*n.n+1
		if back {
			open, shut = shut, open
		}
		c.emit(inst{op: iSave, n: open})
		if err := c.node(n.sub, back); err != nil {
			return err
		}
		c.emit(inst{op: iSave, n: shut})
	case reRepeat:
		return c.repeat(n, back)
	case reBackref:
		c.emit(inst{op: iBackref, n: n.n, backward: back})
	case reBOL:
		c.emit(inst{op: iBOL})
	case reEOL:
		c.emit(inst{op: iEOL})
	case reWordEdge:
		i := inst{op: iWord}
		if n.negate {
			i.n = 1
		}
		c.emit(i)
	case reLook:
		look := inst{op: iLook}
		if n.negate {
			look.n = 1
		}
		at := c.emit(look)
		if err := c.node(n.sub, n.behind); err != nil {
			return err
		}
		c.emit(inst{op: iLookEnd})
		c.re.prog[at].x = c.position()
	}
	return nil
}

func (c *regexCompiler) repeat(n *regexNode, back bool) error {
	if single := n.sub.kind == reSet || n.sub.kind == reChar; single && n.max < 0 && !n.lazy && !back {
		set := n.sub.set
		if n.sub.kind == reChar {
			set = makeSet(n.sub.unit, n.sub.unit)
		}
		c.emit(inst{op: iRunSet, set: set, y: n.min})
		return nil
	}
	once := func() error {
		if n.to >= n.from {
			c.emit(inst{op: iForget, x: n.from, y: n.to})
		}
		return c.node(n.sub, back)
	}
	for range n.min {
		before := c.position()
		if err := once(); err != nil {
			return err
		}
		if c.position() == before {
			return nil // repeating nothing is nothing
		}
	}
	// An optional round that matches nothing is no round at all.
	optional := func() (split int, err error) {
		split = c.emit(inst{op: iSplit})
		c.re.prog[split].x = c.position()
		slot := c.re.slots
		c.re.slots++
		c.emit(inst{op: iMark, n: slot})
		if err := once(); err != nil {
			return 0, err
		}
		c.emit(inst{op: iMoved, n: slot})
		return split, nil
	}
	var splits []int
	if n.max < 0 {
		split, err := optional()
		if err != nil {
			return err
		}
		c.emit(inst{op: iJump, x: split})
		splits = append(splits, split)
	} else {
		for range n.max - n.min {
			split, err := optional()
			if err != nil {
				return err
			}
			splits = append(splits, split)
		}
	}
	for _, s := range splits {
		i := &c.re.prog[s]
		i.y = c.position()
		if n.lazy {
			i.x, i.y = i.y, i.x
		}
	}
	return nil
}

// choice is an entry of the backtracking stack: another place to go on, or,
// with a negative pc, the former content of a slot.
type choice struct {
	pc, pos int
}

type matching struct {
	re    *regex
	m     *machine
	s     []uint16
	slots []int
	stack []choice
	steps int
}

const maxChoices = 4 << 20

// exec finds the first match from a position on. The result holds start and
// end of the match and of every group, -1 for one that took no part.
func (re *regex) exec(m *machine, s []uint16, from int) []int {
	r := matching{re: re, m: m, s: s, slots: make([]int, re.slots)}
	for start := max(from, 0); start <= len(s); start++ {
		if re.first != nil {
			for start < len(s) && !re.first.has(s[start]) {
				start++
				r.steps++
			}
			if start == len(s) {
				break
			}
		}
		for i := range r.slots {
			r.slots[i] = -1
		}
		r.stack = r.stack[:0]
		r.steps += len(r.slots)
		if _, ok := r.run(0, start); ok {
			m.work(r.steps / 8)
			return r.slots[:2*(re.groups+1)]
		}
	}
	m.work(r.steps / 8)
	return nil
}

func (r *matching) set(slot, v int) {
	r.stack = append(r.stack, choice{-1 - slot, r.slots[slot]})
	r.slots[slot] = v
}

// unwind goes back to the last choice above base.
func (r *matching) unwind(base int) (choice, bool) {
	for len(r.stack) > base {
		c := r.stack[len(r.stack)-1]
		r.stack = r.stack[:len(r.stack)-1]
		if c.pc >= 0 {
			return c, true
		}
		r.slots[-1-c.pc] = c.pos
	}
	return choice{}, false
}

func (r *matching) isWordAt(pos int) bool {
	if pos < 0 || pos >= len(r.s) {
		return false
	}
	return setWord.has(r.s[pos])
}

func (r *matching) inSet(set *charset, u uint16) bool {
	if r.re.ignoreCase {
		return set.hasFolded(u)
	}
	return set.has(u)
}

func (r *matching) fold(u uint16) uint16 {
	if r.re.ignoreCase {
		return canonical(u)
	}
	return u
}

func (r *matching) run(pc, pos int) (int, bool) {
	base := len(r.stack)
	for {
		if r.steps++; r.steps >= 4096 {
			r.m.work(r.steps / 8)
			r.steps = 0
			if len(r.stack) > maxChoices {
				throw(errMemory())
			}
		}
		i := &r.re.prog[pc]
		pc++
		ok := true
		switch i.op {
		case iChar, iSet:
			at := pos
			if i.backward {
				at--
			}
			if ok = at >= 0 && at < len(r.s); !ok {
				break
			}
			if i.op == iChar {
				ok = r.fold(r.s[at]) == i.unit
			} else {
				ok = r.inSet(i.set, r.s[at])
			}
			if i.backward {
				pos--
			} else {
				pos++
			}
		case iRunSet:
			start := pos
			for pos < len(r.s) && r.inSet(i.set, r.s[pos]) {
				pos++
			}
			r.steps += (pos - start) / 4
			if ok = pos-start >= i.y; !ok {
				break
			}
			// Shorter runs are tried later, the longest of them first.
			for p := start + i.y; p < pos; p++ {
				r.stack = append(r.stack, choice{pc, p})
			}
		case iSplit:
			r.stack = append(r.stack, choice{i.y, pos})
			pc = i.x
		case iJump:
			pc = i.x
		case iSave, iMark:
			r.set(i.n, pos)
		case iForget:
			for g := i.x; g <= i.y; g++ {
				r.set(2*g, -1)
				r.set(2*g+1, -1)
			}
		case iMoved:
			ok = r.slots[i.n] != pos
		case iBOL:
			ok = pos == 0 || r.re.multiline && setLine.has(r.s[pos-1])
		case iEOL:
			ok = pos == len(r.s) || r.re.multiline && setLine.has(r.s[pos])
		case iWord:
			ok = (r.isWordAt(pos-1) != r.isWordAt(pos)) == (i.n == 0)
		case iBackref:
			from, to := r.slots[2*i.n], r.slots[2*i.n+1]
			if from < 0 || to < 0 {
				break
			}
			size := to - from
			at := pos
			if i.backward {
				at -= size
			}
			if ok = at >= 0 && at+size <= len(r.s); !ok {
				break
			}
			r.steps += size
			for k := range size {
				ok = ok && r.fold(r.s[from+k]) == r.fold(r.s[at+k])
			}
			if i.backward {
				pos = at
			} else {
				pos += size
			}
		case iLook:
			top := len(r.stack)
			_, matched := r.run(pc, pos)
			if matched && i.n == 0 {
				// What it captured stays, the choices it left do not.
				kept := r.stack[:top]
				for _, c := range r.stack[top:] {
					if c.pc < 0 {
						kept = append(kept, c)
					}
				}
				r.stack = kept
			} else {
				for len(r.stack) > top {
					r.unwind(top)
				}
			}
			ok = matched == (i.n == 0)
			pc = i.x
		case iLookEnd, iMatch:
			return pos, true
		}
		if !ok {
			c, more := r.unwind(base)
			if !more {
				return 0, false
			}
			pc, pos = c.pc, c.pos
		}
	}
}
