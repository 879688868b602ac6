package asl

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"strconv"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/document"
)

// mapReadBegin asks for the items of a Map state with an ItemReader.
func (r *Run) mapReadBegin(s *scope) *Failure {
	st, b := s.state, s.branch
	args := any(&document.Object{})
	if st.reader.parameters != nil {
		v, f := st.reader.parameters.eval(s)
		if f != nil {
			return f
		}
		args = v
	}
	r.emit(b, Event{Type: "MapStateStarted", Length: 0})
	if f := r.mapRunBegin(s); f != nil {
		return f
	}
	r.snapshot.Attempts++
	b.Attempt, b.Phase, b.Arguments = r.snapshot.Attempts, Reading, ValueData(args)
	r.Calls = append(r.Calls, r.callOf(b))
	return nil
}

// mapRead takes what an ItemReader has fetched: {"Body": text} of an object, or
// {"Contents": [...]} of a listing.
func (r *Run) mapRead(b *Branch, s *scope, res Result) {
	if !s.state.JSONata {
		s.input = b.Input.Value()
	}
	if f := s.narrow(); f != nil {
		r.fail(b, f)
		return
	}
	fail := func(cause string) {
		f := &Failure{Error: ptr(errItemReader), Cause: &cause}
		r.emit(b, Event{Type: "MapRunFailed", Error: f.Error, Cause: f.Cause})
		b.before = b.Cursor
		b.Results = []*Data{}
		r.fail(b, f)
	}
	if res.Failed {
		cause := ""
		if res.Cause != nil {
			cause = *res.Cause
		}
		fail(cause)
		return
	}
	list, problem := readItems(s.state.reader, res.Output.Value())
	if problem == "" && s.state.reader.maxItems.set {
		n, f := s.integer(s.state.reader.maxItems)
		switch {
		case f != nil:
			f.Error = ptr(errItemReader)
			if v, found := s.state.reader.maxItems.value(s); found == nil && s.state.reader.maxItems.path != nil {
				f.Cause = ptr(fmt.Sprintf("The MaxItemsPath field refers to value '%s' which is not a valid integer: %s", plain(v), s.state.reader.maxItems.path.Source))
			}
			r.fail(b, f)
			return
		case n <= 0:
			problem = "field MaxItems must be positive"
		default:
			list = list[:min(n, len(list))]
		}
	}
	if problem != "" {
		fail(problem)
		return
	}
	r.trace("afterItemsPointer", list)
	if f := r.iterate(s, list); f != nil {
		r.fail(b, f)
	}
}

func readItems(rd *reader, v any) ([]any, string) {
	o, _ := v.(*document.Object)
	if o == nil {
		return nil, "The reader returned no object."
	}
	if c, ok := o.Get("Contents"); ok {
		list, _ := c.([]any)
		return list, ""
	}
	body, _ := o.Get("Body")
	text, ok := body.(string)
	if !ok {
		text = document.Text(body)
	}
	switch rd.inputType {
	case "JSON":
		v, err := document.ParseString(text)
		if err != nil {
			return nil, "Attempting to iterate over a file that is not valid JSON."
		}
		if rd.pointer != "" {
			for _, part := range strings.Split(strings.TrimPrefix(rd.pointer, "/"), "/") {
				part = strings.ReplaceAll(strings.ReplaceAll(part, "~1", "/"), "~0", "~")
				switch at := v.(type) {
				case *document.Object:
					v, _ = at.Get(part)
				case []any:
					i, err := strconv.Atoi(part)
					if err != nil || i < 0 || i >= len(at) {
						return nil, "The ItemsPointer " + rd.pointer + " does not exist."
					}
					v = at[i]
				default:
					v = nil
				}
			}
		}
		if list, ok := v.([]any); ok {
			return list, ""
		}
		return nil, "Attempting to map over non-iterable node."
	case "JSONL":
		var list []any
		for _, line := range strings.Split(text, "\n") {
			if strings.TrimSpace(line) == "" {
				continue
			}
			v, err := document.ParseString(line)
			if err != nil {
				return nil, "Attempting to iterate over a file that is not valid JSONL."
			}
			list = append(list, v)
		}
		return list, ""
	case "CSV":
		return readCSV(rd, text)
	}
	return nil, "The InputType " + rd.inputType + " is not supported."
}

func readCSV(rd *reader, text string) ([]any, string) {
	cr := csv.NewReader(bytes.NewReader([]byte(text)))
	cr.FieldsPerRecord = -1
	cr.LazyQuotes = true
	if d, ok := rd.config.Get("CSVDelimiter"); ok {
		if c := map[any]rune{"COMMA": ',', "PIPE": '|', "SEMICOLON": ';', "SPACE": ' ', "TAB": '\t'}[d]; c != 0 {
			cr.Comma = c
		}
	}
	rows, err := cr.ReadAll()
	if err != nil {
		return nil, "The CSV file could not be read."
	}
	var headers []string
	location, _ := rd.config.Get("CSVHeaderLocation")
	if location == "GIVEN" {
		list, _ := rd.config.Get("CSVHeaders")
		names, _ := list.([]any)
		for _, h := range names {
			s, _ := h.(string)
			headers = append(headers, s)
		}
	} else if len(rows) > 0 {
		headers, rows = rows[0], rows[1:]
	}
	seen := map[string]bool{}
	for _, h := range headers {
		if seen[h] {
			return nil, "CSV headers cannot contain duplicates."
		}
		seen[h] = true
	}
	var list []any
	for _, row := range rows {
		o := &document.Object{}
		for i, h := range headers {
			if i < len(row) {
				o.Set(h, row[i])
			} else {
				o.Set(h, "")
			}
		}
		list = append(list, o)
	}
	return list, ""
}

// batches groups the items as ItemBatcher says, and counts those of each batch.
func (r *Run) batches(s *scope, list []any) ([]any, []int, *Failure) {
	bt := s.state.batcher
	most, f := s.integer(bt.maxItems)
	if f != nil {
		return nil, nil, f
	}
	size, f := s.integer(bt.maxSize)
	if f != nil {
		return nil, nil, f
	}
	var input any
	if bt.input != nil {
		if input, f = bt.input.eval(s); f != nil {
			return nil, nil, f
		}
	}
	wrap := func(items []any) *document.Object {
		o := &document.Object{}
		if bt.input != nil {
			o.Set("BatchInput", input)
		}
		o.Set("Items", items)
		return o
	}
	var out []any
	sizes := []int{}
	var batch []any
	base := len(document.Text(wrap([]any{})))
	length := base
	for i, item := range list {
		if s.state.itemSelector != nil {
			o := *s
			o.ctx, o.jsonataCtx = nil, nil
			o.item = &mapItem{index: i, value: item}
			if item, f = s.state.itemSelector.eval(&o); f != nil {
				return nil, nil, f
			}
		}
		n := len(document.Text(item)) + 1
		if len(batch) > 0 && (most > 0 && len(batch) == most || size > 0 && length+n > size) {
			out = append(out, wrap(batch))
			sizes = append(sizes, len(batch))
			batch, length = nil, base
		}
		batch = append(batch, item)
		length += n
	}
	if len(batch) > 0 {
		out = append(out, wrap(batch))
		sizes = append(sizes, len(batch))
	}
	return out, sizes, nil
}
