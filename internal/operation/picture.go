package operation

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"slices"
	"strings"

	"github.com/fleetstep/fleetstep/internal/event"
)

// Picture is a state machine to be shown, of an operation or of any other document.
type Picture struct{ machine }

// NewPicture reads a state machine document. It need not be an operation's.
func NewPicture(document []byte) (Picture, event.Problems) {
	m, problems := newMachine(document)
	if problems == nil && !m.begins() {
		return Picture{}, event.Problems{m.noBeginning()}
	}
	return Picture{m}, problems
}

// label says in a few words what a state does.
func (s state) label() string {
	p := s.payloadOf()
	if task, ok := p["task"].(string); ok {
		for _, name := range []string{"command", "event", "valueChange", "presence"} {
			if v, ok := p[name].(string); ok {
				return task + " " + v
			}
		}
		return task
	}
	switch {
	case s.Type == "Task" && strings.Contains(s.Resource, ":lambda:"):
		return "Lambda function"
	case s.Type == "Task":
		_, service, _ := strings.Cut(s.Resource, ":states:::")
		return service
	}
	return s.Type
}

// time is how long a state may take in one try, as it says it.
func (s state) time() string {
	v, path := s.TimeoutSeconds, s.TimeoutSecondsPath
	if s.Type == "Wait" {
		v, path = s.Seconds, s.SecondsPath
	}
	if path != "" {
		v = path
	}
	if parts, ok := inputPath(v); ok {
		return parts[len(parts)-1]
	}
	switch v.(type) {
	case nil:
		return ""
	case float64:
		return fmt.Sprintf("%v s", v)
	}
	return "computed"
}

func (s state) retries() int {
	n := 0
	for _, r := range s.Retry {
		n += r.attempts()
	}
	return n
}

// bounds says how long and how dear an execution may be. defaults are those of its input.
func (p Picture) bounds(defaults map[string]any) string {
	if p.loop() != nil {
		return fmt.Sprintf("%d states, with a loop", len(p.States))
	}
	text := fmt.Sprintf("%d states, at most %d transitions", len(p.States), p.transitions())
	if d, problems := p.longest(map[string]any{"document": map[string]any{"input": defaults}}); problems == nil {
		text += fmt.Sprintf(", over within %s", d)
	}
	return text
}

// Text draws the states as lines: each with what it does, how long it may take, and
// where it leads.
func (p Picture) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", p.bounds(nil))
	width := 0
	for name := range p.States {
		width = max(width, len([]rune(name)))
	}
	for _, name := range p.order() {
		s := p.States[name]
		mark := "  "
		if name == p.StartAt {
			mark = "> "
		}
		words := []string{s.label()}
		if t := s.time(); t != "" {
			words = append(words, "up to "+t)
		}
		if n := s.retries(); n > 0 {
			words = append(words, fmt.Sprintf("%d retries", n))
		}
		fmt.Fprintf(&b, "%s%-*s  %s\n", mark, width, name, strings.Join(words, ", "))
		for _, w := range s.ways() {
			arrow, on := "--> ", ""
			if w.error != nil {
				arrow, on = "- > ", "  on "+strings.Join(w.error, ", ")
			}
			fmt.Fprintf(&b, "    %s%s%s\n", arrow, w.to, on)
		}
		if s.ends() {
			b.WriteString("    --| end\n")
		}
	}
	return b.String()
}

// Measures of the drawing, in pixels.
const (
	boxWidth, boxHeight   = 210, 56
	gapAcross, gapDown    = 40, 54
	gapAside              = 60
	margin                = 24
	letter                = 7 // the width of one, about
	mostLetters           = (boxWidth - 20) / letter
	fontSize, smallerSize = 13, 11
)

// SVG draws the states as a picture: a box for each, one below the other as an execution
// meets them; ways as lines, and dashed where an error takes them.
func (p Picture) SVG() string {
	rows := p.rows()
	widest := 0
	for _, row := range rows {
		widest = max(widest, len(row))
	}
	beside := 0 // room for ways that pass other states
	if p.passes(rows) {
		beside = gapAside
	}
	width := beside + 2*margin + widest*boxWidth + (widest-1)*gapAcross
	height := 2*margin + len(rows)*boxHeight + (len(rows)-1)*gapDown
	type point struct{ x, y int }
	at := map[string]point{} // the upper left corner
	for i, row := range rows {
		left := beside + (width-beside-len(row)*boxWidth-(len(row)-1)*gapAcross)/2
		for j, name := range row {
			at[name] = point{left + j*(boxWidth+gapAcross), margin + i*(boxHeight+gapDown)}
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d"`+
		` font-family="sans-serif" font-size="%d" role="img">`+"\n", width, height, width, height, fontSize)
	fmt.Fprintf(&b, "<title>%s</title>\n", escape(p.title()))
	b.WriteString(`<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7"` +
		` orient="auto-start-reverse"><path d="M0 0L8 4L0 8z" fill="#444"/></marker></defs>` + "\n")
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", width, height)
	for _, name := range p.order() {
		from := at[name]
		for _, w := range p.States[name].ways() {
			to, ok := at[w.to]
			if !ok {
				continue
			}
			style, title := "", name+" to "+w.to
			if w.error != nil {
				style, title = ` stroke-dasharray="5 4" stroke-opacity=".6"`, title+" on "+strings.Join(w.error, ", ")
			}
			x1, y1, x2, y2 := from.x+boxWidth/2, from.y+boxHeight, to.x+boxWidth/2, to.y
			bend := max(gapDown/2, (y2-y1)/2)
			c1x, c1y, c2x, c2y := x1, y1+bend, x2, y2-bend
			switch {
			case w.error != nil && y2-y1 > gapDown: // behind the boxes between
				x1 += boxWidth / 4
				x2 += boxWidth / 4
				c1x, c2x = x1, x2
			case w.error == nil && y2-y1 != gapDown: // from side to side, beside the boxes between
				x1, y1, x2, y2 = from.x, from.y+boxHeight/2, to.x, to.y+boxHeight/2
				c1x = max(min(x1, x2)-gapAside*4/3, 0)
				c1y, c2x, c2y = y1, c1x, y2
			}
			fmt.Fprintf(&b, `<path d="M%d %dC%d %d %d %d %d %d" fill="none" stroke="#444" marker-end="url(#arrow)"%s>`+
				"<title>%s</title></path>\n", x1, y1, c1x, c1y, c2x, c2y, x2, y2, style, escape(title))
		}
	}
	for _, name := range p.order() {
		s, corner := p.States[name], at[name]
		fill, stroke := "#eef3fb", 1
		switch {
		case s.isFinalize():
			fill = "#e7f5ea"
		case s.Type == "Fail":
			fill = "#fbe9e7"
		case s.Type != "Task":
			fill = "#f5f5f5"
		}
		if name == p.StartAt {
			stroke = 2
		}
		below := s.label()
		if t := s.time(); t != "" {
			below += ", " + t
		}
		fmt.Fprintf(&b,
			`<g><title>%s</title><rect x="%d" y="%d" width="%d" height="%d" rx="6" fill="%s" stroke="#444"`+
				` stroke-width="%d"/><text x="%d" y="%d" text-anchor="middle" font-weight="bold">%s</text>`+
				`<text x="%d" y="%d" text-anchor="middle" font-size="%d" fill="#333">%s</text></g>`+"\n",
			escape(name+": "+below), corner.x, corner.y, boxWidth, boxHeight, fill, stroke,
			corner.x+boxWidth/2, corner.y+23, escape(cut(name)), corner.x+boxWidth/2, corner.y+42, smallerSize,
			escape(cut(below)))
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// passes reports whether a way, but those of errors, does not lead to the row below.
func (p Picture) passes(rows [][]string) bool {
	at := map[string]int{}
	for i, row := range rows {
		for _, name := range row {
			at[name] = i
		}
	}
	return slices.ContainsFunc(p.order(), func(name string) bool {
		return slices.ContainsFunc(p.States[name].ways(), func(w way) bool {
			to, ok := at[w.to]
			return ok && w.error == nil && to != at[name]+1
		})
	})
}

func (p Picture) title() string {
	if p.Comment != "" {
		return p.Comment
	}
	return p.bounds(nil)
}

// rows are the states by how many lie before them on the longest way.
func (p Picture) rows() [][]string {
	depth := map[string]int{}
	open := map[string]bool{}
	var visit func(name string, n int)
	visit = func(name string, n int) {
		s, ok := p.States[name]
		if !ok || open[name] || n <= depth[name] {
			return
		}
		depth[name] = n
		open[name] = true
		for _, w := range s.ways() {
			visit(w.to, n+1)
		}
		open[name] = false
	}
	visit(p.StartAt, 1)
	var rows [][]string
	for _, name := range p.order() {
		n := max(depth[name], 1)
		for len(rows) < n {
			rows = append(rows, nil)
		}
		rows[n-1] = append(rows[n-1], name)
	}
	return slices.DeleteFunc(rows, func(row []string) bool { return len(row) == 0 })
}

func cut(text string) string {
	if r := []rune(text); len(r) > mostLetters {
		return string(r[:mostLetters-1]) + "…"
	}
	return text
}

func escape(text string) string {
	var b strings.Builder
	if err := xml.EscapeText(&b, []byte(text)); err != nil {
		return "" // unreachable: a strings.Builder takes everything
	}
	return b.String()
}

// Picture is the operation's state machine.
func (o Operation) Picture() Picture { return Picture{o.states} }

// Bounds says how long and how dear an execution of the operation may be, with the
// defaults of its input.
func (o Operation) Bounds() string { return Picture{o.states}.bounds(o.schema.filled(nil)) }

// Members are the members of the operation's input, by the schema: those that must be
// given, and those that may.
func (o Operation) Members() (required, optional []string) {
	var doc struct {
		Required   []string
		Properties map[string]json.RawMessage
	}
	if json.Unmarshal(o.Schema, &doc) != nil {
		return nil, nil // unreachable: it was compiled
	}
	for name := range doc.Properties {
		if slices.Contains(doc.Required, name) {
			required = append(required, name)
		} else {
			optional = append(optional, name)
		}
	}
	slices.Sort(required)
	slices.Sort(optional)
	return required, optional
}
