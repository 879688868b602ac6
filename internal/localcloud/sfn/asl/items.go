package asl

import (
	"encoding/csv"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/document"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/java"
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
	if f := s.limited(ValueData(args)); f != nil {
		return f
	}
	if _, f := s.limit(); f != nil {
		return f
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

// mapRead takes what an ItemReader has fetched: {"Body": text} of an object, with
// the names of the columns in "Headers" if it says them itself, {"Contents": [...]}
// of a listing, or {"Objects": [...]} with such objects; "Source" is where from.
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
	list, sources, problem := readItems(s.state.reader, res.Output.Value())
	if problem == "" {
		var f *Failure
		if list, problem, f = s.firstItems(list); f != nil {
			r.fail(b, f)
			return
		}
	}
	if problem != "" {
		fail(problem)
		return
	}
	r.trace("afterItemsPointer", list)
	b.Sources = sources
	if f := r.iterate(s, list); f != nil {
		r.fail(b, f)
	}
}

// limit is MaxItems of a Map state's ItemReader, 0 if there is none.
func (s *scope) limit() (int64, *Failure) {
	n := s.state.reader.maxItems
	if !n.set {
		return 0, nil
	}
	v, f := n.value(s)
	if f != nil {
		return 0, f
	}
	limit, ok := wholeNumber(v, n.path != nil)
	switch {
	case ok:
		return limit, nil
	case n.path == nil:
		_, f := s.integer(n)
		return 0, f
	}
	return 0, &Failure{Error: ptr(errItemReader), Cause: ptr(fmt.Sprintf(
		"The MaxItemsPath field refers to value '%s' which is not a valid integer: %s", plain(v), n.path.Source))}
}

// firstItems are the items that MaxItems lets through: all of them where it is 0; problem says what is wrong with it.
func (s *scope) firstItems(list []any) (first []any, problem string, f *Failure) {
	limit, f := s.limit()
	switch {
	case f != nil:
		return nil, "", f
	case limit < 0:
		return nil, "field MaxItems must be positive", nil
	case limit == 0 || limit > int64(len(list)):
		return list, "", nil
	}
	return list[:limit], "", nil
}

// ItemSource says where the items from an index on come from.
type ItemSource struct {
	From   int    `json:"f"`
	Source string `json:"s"`
}

// source is where an item of a distributed Map comes from.
func (b *Branch) source(item int) string {
	source := "STATE_DATA"
	for _, s := range b.Sources {
		if s.From <= item {
			source = s.Source
		}
	}
	return source
}

// readItems makes items of what has been fetched; problem says why it cannot.
func readItems(rd *reader, v any) (list []any, sources []ItemSource, problem string) {
	o, _ := v.(*document.Object)
	if o == nil {
		return nil, nil, "The reader returned no object."
	}
	objects := []any{o}
	if more, ok := o.Get("Objects"); ok {
		objects, _ = more.([]any)
	}
	for _, one := range objects {
		o, _ := one.(*document.Object)
		if o == nil {
			continue
		}
		if source, _ := o.Get("Source"); source != nil {
			text, _ := source.(string)
			sources = append(sources, ItemSource{len(list), text})
		}
		if c, ok := o.Get("Contents"); ok {
			listed, _ := c.([]any)
			list = append(list, listed...)
			continue
		}
		items, problem := objectItems(rd, o)
		if problem != "" {
			return nil, nil, problem
		}
		list = append(list, items...)
	}
	return list, sources, ""
}

// objectItems makes items of one object.
func objectItems(rd *reader, o *document.Object) ([]any, string) {
	body, _ := o.Get("Body")
	text, ok := body.(string)
	if !ok {
		text = document.Text(body)
	}
	kind := rd.inputType
	if kind == "MANIFEST" || rd.manifest == "S3_INVENTORY" || kind == "" && rd.manifest != "" {
		kind = "CSV"
	}
	switch kind {
	case "JSON":
		v, err := document.ParseString(text)
		if err != nil {
			return nil, "Attempting to iterate over a file that is not valid JSON."
		}
		if rd.pointer != "" {
			var problem string
			if v, problem = followPointer(v, rd.pointer); problem != "" {
				return nil, problem
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
		var headers []string
		if v, ok := o.Get("Headers"); ok {
			names, _ := v.([]any)
			for _, n := range names {
				name, _ := n.(string)
				headers = append(headers, name)
			}
		}
		return readCSV(rd, text, headers)
	}
	return nil, "The InputType " + kind + " is not built in this local cloud."
}

// followPointer follows a JSON Pointer (RFC 6901).
func followPointer(v any, pointer string) (any, string) {
	for _, part := range strings.Split(pointer, "/")[1:] {
		part = strings.ReplaceAll(strings.ReplaceAll(part, "~1", "/"), "~0", "~")
		found := false
		switch at := v.(type) {
		case *document.Object:
			v, found = at.Get(part)
		case []any:
			if i, err := strconv.Atoi(part); err == nil && i >= 0 && i < len(at) {
				v, found = at[i], true
			}
		}
		if !found {
			return nil, "The ItemsPointer " + pointer + " does not exist."
		}
	}
	return v, ""
}

// maxHeader is how many bytes the header of a CSV file may have.
const maxHeader = 10 << 10

// readCSV reads a file of text with a delimiter; headers are given by a manifest.
func readCSV(rd *reader, text string, headers []string) ([]any, string) {
	cr := csv.NewReader(strings.NewReader(text))
	cr.FieldsPerRecord = -1
	cr.LazyQuotes = true
	var location any
	if headers == nil && rd.config != nil {
		if d, ok := rd.config.Get("CSVDelimiter"); ok {
			if c := map[any]rune{"COMMA": ',', "PIPE": '|', "SEMICOLON": ';', "SPACE": ' ', "TAB": '\t'}[d]; c != 0 {
				cr.Comma = c
			}
		}
		location, _ = rd.config.Get("CSVHeaderLocation")
	}
	rows, err := cr.ReadAll()
	if err != nil {
		return nil, "The CSV file could not be read."
	}
	switch {
	case headers != nil:
	case location == "GIVEN":
		list, _ := rd.config.Get("CSVHeaders")
		names, _ := list.([]any)
		for _, h := range names {
			s, _ := h.(string)
			headers = append(headers, s)
		}
	case len(rows) > 0:
		headers, rows = rows[0], rows[1:]
	}
	seen := map[string]bool{}
	size := 0
	for _, h := range headers {
		if seen[h] {
			return nil, "CSV headers cannot contain duplicates."
		}
		seen[h] = true
		size += len(h)
	}
	if size > maxHeader {
		return nil, "CSV headers cannot exceed 10 KiB."
	}
	columns := hashOrder(headers) // of an inventory, too, though this was only seen of a CSV file
	var list []any
	for _, row := range rows {
		o := &document.Object{}
		for _, i := range columns {
			if i < len(row) {
				o.Set(headers[i], row[i])
			} else {
				o.Set(headers[i], "")
			}
		}
		list = append(list, o)
	}
	return list, ""
}

// hashOrder are the indices of names in the order in which a Java HashMap gives them.
func hashOrder(names []string) []int {
	order := make([]int, len(names))
	for i := range order {
		order[i] = i
	}
	buckets := java.Grown(len(names))
	slices.SortStableFunc(order, func(i, j int) int {
		return java.Bucket(java.String(names[i]), buckets) - java.Bucket(java.String(names[j]), buckets)
	})
	return order
}

// batches groups the items as ItemBatcher says, and counts those of each batch. No batch is made larger than an input
// may be; an item that is larger by itself fails as a child's input.
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
	if size <= 0 || size > MaxData {
		size = MaxData
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
			o.item = s.branch.mapItem(i, item)
			o.item.source = s.branch.source(i)
			if item, f = s.state.itemSelector.eval(&o); f != nil {
				return nil, nil, f
			}
		}
		n := len(document.Text(item)) + 1
		if len(batch) > 0 && (most > 0 && len(batch) == most || length+n > size) {
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
