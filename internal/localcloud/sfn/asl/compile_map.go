package asl

import (
	"math"
	"slices"
	"strings"
	"unicode"

	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/document"
)

func (c *compiler) mapState(s *State, o *document.Object, at string) {
	name := "ItemProcessor"
	v, ok := o.Get(name)
	if old, has := o.Get("Iterator"); has {
		if ok {
			c.tooMany(at, "ItemProcessor", "Iterator")
		}
		name, v, ok = "Iterator", old, true
	}
	body, isObject := v.(*document.Object)
	if !ok {
		c.fail(at, "These fields are required: [ItemProcessor]")
		return
	}
	if !isObject {
		c.wrongType(at+"/"+name, "OBJECT")
		return
	}
	if v, ok := body.Get("ProcessorConfig"); ok {
		config, isObject := v.(*document.Object)
		where := at + "/" + name + "/ProcessorConfig"
		if !isObject {
			c.wrongType(where, "OBJECT")
		} else {
			c.members(config, where, mapFields["ProcessorConfig"], s.JSONata, false)
			mode, hasMode := config.Get("Mode")
			kind, _ := config.Get("ExecutionType")
			switch {
			case mode == "DISTRIBUTED":
				s.distributed = true
				if kind != "STANDARD" && kind != "EXPRESS" {
					c.fail(where, "These fields are required: [ExecutionType]")
				}
				s.childExpress = kind == "EXPRESS"
				if c.machine.Express {
					c.fail(where+"/Mode", "Express state machine does not support Distributed Map")
				}
			case hasMode && mode != "INLINE":
				c.notOneOf(where+"/Mode", "INLINE", "DISTRIBUTED")
			}
		}
	}
	s.processor, s.processorField = c.flow(body, at+"/"+name, false), name
	if s.JSONata {
		if v, ok := o.Get("Items"); ok {
			s.items = c.jsonataTemplate(v, at+"/Items", "Items")
		}
	} else {
		s.itemsPath = c.path(o, "ItemsPath", at, false)
	}
	if v, ok := o.Get("ItemSelector"); ok {
		if _, both := o.Get("Parameters"); both {
			c.tooMany(at, "Parameters", "ItemSelector")
		}
		if s.JSONata {
			s.itemSelector = c.jsonataTemplate(v, at+"/ItemSelector", "ItemSelector")
		} else {
			s.itemSelector = c.pathTemplate(v, at+"/ItemSelector")
		}
	}
	if s.parameters != nil {
		s.itemSelector, s.parameters = s.parameters, nil
	}
	s.maxConcurrency = c.number(s, o, "MaxConcurrency", at, 0, math.MaxFloat64, true)
	s.toleratedCount = c.number(s, o, "ToleratedFailureCount", at, 0, math.MaxInt32, true)
	s.toleratedShare = c.number(s, o, "ToleratedFailurePercentage", at, 0, 100, false)
	if v, ok := o.Get("Label"); ok {
		c.label(s, v, at+"/Label")
	}
	c.distributedFields(s, o, at)
}

// label reads the name that a Map Run is known by, which no other has.
func (c *compiler) label(s *State, v any, at string) {
	s.label = c.text(v, at)
	switch {
	case len([]rune(s.label)) > 40:
		c.report(invalidLabel, at, "Label is longer than 40 characters")
	case v == "" || strings.ContainsFunc(s.label, forbidden):
		c.report(invalidLabel, at, "Label is empty or has characters that are not allowed")
	case c.labels[s.label]:
		c.report(duplicateLabel, at, "Duplicate label: %s", s.label)
	}
	if c.labels == nil {
		c.labels = map[string]bool{}
	}
	c.labels[s.label] = true
}

// forbidden are the characters that labels cannot have, as names of state
// machines cannot.
func forbidden(r rune) bool {
	return unicode.IsSpace(r) || unicode.IsControl(r) || strings.ContainsRune("?*<>{}[]:;,\\/|^~$#%&`\"", r)
}

// mapFields lists what the objects in a Map state may have: in both languages, in JSONPath, in JSONata.
var mapFields = map[string][3][]string{
	"ItemReader": {{"Resource", "ReaderConfig"}, {"Parameters"}, {"Arguments"}},
	"ReaderConfig": {{"InputType", "CSVDelimiter", "CSVHeaderLocation", "CSVHeaders", "MaxItems", "ItemsPointer",
		"ManifestType", "Transformation"}, {"MaxItemsPath"}, {}},
	"ItemBatcher": {{"MaxItemsPerBatch", "MaxInputBytesPerBatch", "BatchInput"},
		{"MaxItemsPerBatchPath", "MaxInputBytesPerBatchPath"}, {}},
	"ResultWriter":    {{"Resource", "WriterConfig"}, {"Parameters"}, {"Arguments"}},
	"WriterConfig":    {{"OutputType", "Transformation"}, {}, {}},
	"ProcessorConfig": {{"Mode", "ExecutionType"}, {}, {}},
}

func (c *compiler) distributedFields(s *State, o *document.Object, at string) {
	for _, n := range []string{"ItemReader", "ItemBatcher", "ResultWriter"} {
		v, ok := o.Get(n)
		if !ok {
			continue
		}
		where := at + "/" + n
		body, isObject := v.(*document.Object)
		if !isObject {
			c.wrongType(where, "OBJECT")
			continue
		}
		c.members(body, where, mapFields[n], s.JSONata, false)
		if !s.distributed {
			c.fail(where, "%s is only supported in Distributed Map", n)
			continue
		}
		template := func(name string) node {
			v, ok := body.Get(name)
			if !ok {
				return nil
			}
			if s.JSONata {
				return c.jsonataTemplate(v, where+"/"+name, n+"/"+name)
			}
			return c.pathTemplate(v, where+"/"+name)
		}
		parameters := "Parameters"
		if s.JSONata {
			parameters = "Arguments"
		}
		switch n {
		case "ItemReader":
			r := &reader{parameters: template(parameters)}
			if v, ok := body.Get("Resource"); ok {
				r.resource = c.resource(c.text(v, where+"/Resource"), where+"/Resource")
				c.itemResource(r.resource, where+"/Resource", "getObject", "listObjectsV2")
				c.requiredIn(body, parameters, r.resource.required(), s.JSONata, where)
			} else {
				c.fail(where, "These fields are required: [Resource]")
			}
			if v, ok := body.Get("ReaderConfig"); ok {
				r.config, _ = v.(*document.Object)
				if r.config == nil {
					c.wrongType(where+"/ReaderConfig", "OBJECT")
				} else {
					c.members(r.config, where+"/ReaderConfig", mapFields["ReaderConfig"], s.JSONata, false)
					r.maxItems = c.number(s, r.config, "MaxItems", where+"/ReaderConfig", 0, 100000000,
						true)
					c.readerConfig(r, where+"/ReaderConfig")
				}
			}
			s.reader = r
		case "ItemBatcher":
			b := &batcher{input: template("BatchInput")}
			b.maxItems = c.number(s, body, "MaxItemsPerBatch", where, 0, maxSeconds, true)
			b.maxSize = c.number(s, body, "MaxInputBytesPerBatch", where, 0, MaxData, true)
			if !b.maxItems.set && !b.maxSize.set {
				c.fail(where, "One of these fields is required: [MaxItemsPerBatch, MaxItemsPerBatchPath, "+
					"MaxInputBytesPerBatch, MaxInputBytesPerBatchPath]")
			}
			s.batcher = b
		case "ResultWriter":
			w := &writer{parameters: template(parameters)}
			v, exports := body.Get("Resource")
			if exports {
				w.resource = c.resource(c.text(v, where+"/Resource"), where+"/Resource")
				c.itemResource(w.resource, where+"/Resource", "putObject")
				c.requiredIn(body, parameters, []string{"Bucket"}, s.JSONata, where)
			}
			if _, has := body.Get(parameters); has != exports {
				missing := "Resource"
				if exports {
					missing = parameters
				}
				c.fail(where, "These fields are required: [%s]", missing)
			}
			if v, ok := body.Get("WriterConfig"); ok {
				if w.config, _ = v.(*document.Object); w.config == nil {
					c.wrongType(where+"/WriterConfig", "OBJECT")
				} else {
					c.members(w.config, where+"/WriterConfig", mapFields["WriterConfig"], s.JSONata, false)
					c.oneOf(w.config, where+"/WriterConfig", "OutputType", "JSON", "JSONL")
					c.oneOf(w.config, where+"/WriterConfig", "Transformation", "NONE", "COMPACT", "FLATTEN")
				}
			} else if !exports {
				c.fail(where, "One of these fields is required: [Resource, WriterConfig]")
			}
			s.writer = w
		}
	}
}

func (c *compiler) itemResource(r Resource, at string, actions ...string) {
	if r.ARN != "" && r.Service != "" && !r.itemResource(actions...) {
		c.fail(at, "The resource provided %s is not recognized. The value is not a valid resource ARN, or the "+
			"resource is not available in this region.", r.ARN)
	}
}

// oneOf reads a field that has one of some values, "" if it is not there.
func (c *compiler) oneOf(o *document.Object, at, name string, values ...string) string {
	v, ok := o.Get(name)
	if !ok {
		return ""
	}
	text, _ := v.(string)
	if !slices.Contains(values, text) {
		c.notOneOf(at+"/"+name, values...)
	}
	return text
}

// notWith lists the fields that a ReaderConfig does not have with an InputType.
//
// Source: github.com/gabrielmoreira/tiny-asl-machine, tests/conformance/cases/.snapshots/aws, seen on AWS (2026); of
// PARQUET, the developer guide.
var notWith = map[string][]string{
	"JSON":    {"CSVDelimiter", "CSVHeaderLocation", "CSVHeaders", "ManifestType"},
	"JSONL":   {"CSVDelimiter", "CSVHeaderLocation", "CSVHeaders"},
	"PARQUET": {"CSVDelimiter", "CSVHeaderLocation", "CSVHeaders"},
}

// readerConfig reads how an ItemReader understands what it reads.
func (c *compiler) readerConfig(r *reader, at string) {
	r.inputType = c.oneOf(r.config, at, "InputType", "CSV", "JSON", "JSONL", "PARQUET", "MANIFEST")
	r.manifest = c.oneOf(r.config, at, "ManifestType", "ATHENA_DATA", "S3_INVENTORY")
	r.flatten = c.oneOf(r.config, at, "Transformation", "NONE", "LOAD_AND_FLATTEN") == "LOAD_AND_FLATTEN"
	c.oneOf(r.config, at, "CSVDelimiter", "COMMA", "PIPE", "SEMICOLON", "SPACE", "TAB")
	location := c.oneOf(r.config, at, "CSVHeaderLocation", "FIRST_ROW", "GIVEN")
	switch {
	case r.flatten && r.inputType == "":
		c.fail(at, "The field 'InputType' is required")
	case r.inputType == "CSV" && location == "":
		c.fail(at, "The field 'CSVHeaderLocation' is required")
	}
	for _, m := range r.config.Members() {
		if slices.Contains(notWith[r.inputType], m.Name) {
			c.unsupported(at, m.Name)
		}
	}
	if v, ok := r.config.Get("CSVHeaders"); ok {
		list, isArray := v.([]any)
		for _, h := range list {
			_, isText := h.(string)
			isArray = isArray && isText
		}
		if !isArray {
			c.fail(at+"/CSVHeaders", "Expected value of type Array of Strings")
		}
	} else if location == "GIVEN" {
		c.fail(at, "These fields are required: [CSVHeaders]")
	}
	if v, ok := r.config.Get("ItemsPointer"); ok {
		if r.pointer = c.text(v, at+"/ItemsPointer"); r.pointer != "" && !strings.HasPrefix(r.pointer, "/") {
			c.fail(at+"/ItemsPointer", "Invalid input: JSON Pointer expression must start with '/': %q", r.pointer)
		}
	}
	if r.inputType == "MANIFEST" && r.manifest == "" {
		r.manifest = "S3_INVENTORY" // the only manifest before there was the field
	}
}
