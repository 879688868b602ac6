package archtest

import (
	"go/ast"
	"go/types"
	"strings"
	"testing"
)

// discards are the assignments of a file that throw an error away.
func (t *typed) discards(f *file) []use {
	var list []use
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		a, ok := n.(*ast.AssignStmt)
		if !ok {
			return true
		}
		for i, left := range a.Lhs {
			if id, ok := left.(*ast.Ident); !ok || id.Name != "_" {
				continue
			}
			var typ types.Type
			if len(a.Rhs) == len(a.Lhs) {
				typ = t.info.TypeOf(a.Rhs[i])
			} else if tuple, ok := t.info.TypeOf(a.Rhs[0]).(*types.Tuple); ok {
				typ = tuple.At(i).Type()
			}
			if typ != nil && types.Identical(typ, types.Universe.Lookup("error").Type()) {
				from := a.Rhs[min(i, len(a.Rhs)-1)]
				if !t.cannotFail(from) {
					list = append(list, use{a, called(from)})
				}
			}
		}
		return true
	})
	return list
}

func called(e ast.Expr) string {
	if c, ok := e.(*ast.CallExpr); ok {
		return types.ExprString(c.Fun)
	}
	return types.ExprString(e)
}

// neverFail are calls whose error is always nil, by the documentation of their
// type or package.
var neverFail = map[string]string{
	"hash.Hash32.Write": "a hash never returns an error",
	"hash.Hash.Write":   "a hash never returns an error",
	"*github.com/fleetstep/fleetstep/internal/localcloud/scheduler.Scheduler.Read": "it draws, or ends the process",
}

func (t *typed) cannotFail(e ast.Expr) bool {
	c, ok := ast.Unparen(e).(*ast.CallExpr)
	if !ok {
		return false
	}
	s, ok := ast.Unparen(c.Fun).(*ast.SelectorExpr)
	if !ok || t.info.Selections[s] == nil {
		return false
	}
	_, ok = neverFail[types.TypeString(t.info.Selections[s].Recv(), nil)+"."+s.Sel.Name]
	return ok
}

// mayDiscard are the calls whose error says nothing that anyone could act on,
// by file, function and call, and why.
var mayDiscard = map[string]string{
	"awsapi/respond.go: request.fail: xml.EscapeText": "it writes to a buffer",
	"awsapi/respond.go: request.write: q.w.Write":     "the client is gone if this fails",
	"awsapi/xml.go: xmlMember: xml.EscapeText":        "it writes to a buffer",
	"store/store.go: Tx.Range: it.Close": "the iterator's error was looked at " +
		"before",
	"entrance/handler.go: refuse: io.WriteString":     "the client is gone if this fails",
	"cloudwatch/service.go: appendText: json.Marshal": "a string always encodes",
	"iam/entity.go: Service.entityARN: s.config.Store.View": "the operation reads the same again, " +
		"and tells",
	"iam/entity.go: cut: json.Marshal":               "a number always encodes",
	"iotjobsdataplane/topics.go: send: json.Marshal": "two strings always encode",
	"iot/rulesql/parse.go: parser.peek: l.next": "the error comes again when the " +
		"token is taken",
	"iot/topicrule/action_dynamodb.go: textOf: json.Unmarshal": "the JSON of a String is a string",
	"iotdataplane/broker/peer.go: peer.enterRoom: full.Wait":   "a wait without a deadline has no error",
	"lambda/code.go: unpackFile: r.Close":                      "it was read to its end",
	"lambda/environment.go: Process.newEnvironment: w.Close": "the other end of the pipe tells " +
		"what was written",
	"lambda/environment.go: Process.newEnvironment: out.Close":         "nothing was read from it",
	"lambda/environment.go: Process.newEnvironment: listener.Close":    "the start has failed already",
	"lambda/environment.go: Process.newEnvironment: env.server.Close":  "the process has ended",
	"lambda/output.go: pipe.end: p.file.Close":                         "it was read to its end",
	"lambda/process_unix.go: pipe.rest: raw.Control":                   "it is closed, at its end",
	"lambda/runtimeapi.go: environment.serveNext: w.Write":             "the process is gone if this fails",
	"lambda/runtimeapi.go: environment.take: io.WriteString":           "the process is gone if this fails",
	"lambda/runtimeapi.go: environment.serveInitError: io.WriteString": "the process is gone if this fails",
	"lambda/output.go: invocationLog.flush: s.Caller.Call":             "as on AWS: no permission, no log",
	"s3/versions.go: Service.serveCopy: from.body.Close":               "it was read to its end",
	"s3/versions.go: Service.servePartCopy: from.body.Close":           "it is only read",
	"s3/http.go: status.end: s.ResponseWriter.Write":                   "the client is gone if this fails",
	"s3/errors.go: writeError: w.Write":                                "the client is gone if this fails",
	"s3/errors.go: writeError: xml.NewEncoder(w).Encode":               "the client is gone if this fails",
	"s3/api.go: Service.getObject: r.Close":                            "it was read to its end",
	"sfn/document/text.go: Plain: strconv.ParseFloat": "the number is JSON's; out of range " +
		"it is infinite",
	"sfn/jsonata/format_integer.go: integerFormat.parse: strconv.ParseFloat": "digits; out of range they are infinite",
	"sfn/jsonata/matching.go: leadingInt: strconv.Atoi":                      "at most a few digits; none are 0",
	"sfn/jsonata/number.go: to15Digits: strconv.ParseFloat":                  "digits that FormatFloat wrote",
	"sfn/jsonata/number.go: shiftDecimal: strconv.Atoi":                      "digits that FormatFloat wrote",
	"sfn/jsonata/number.go: shiftDecimal: strconv.ParseFloat": "digits that FormatFloat wrote; out " +
		"of range they are infinite",
	"sfn/asl/data.go: Data.Value: document.ParseString":         "the text was checked when the Data was made",
	"sfn/asl/expression.go: jsonataOf: v.Float64":               "the number is JSON's; out of range it is infinite",
	"sfn/asl/single.go: Test: r.Complete":                       "the branch was made above and waits",
	"sfn/record.go: executionRecord.AppendRecord: json.Marshal": "strings, numbers and times always encode",
	"sfn/role.go: Service.trace: s.may":                         "the denials are in the log of IAM",
	"sns/deliver.go: retryDelay: json.Unmarshal": "it was checked when it was set; what is missing " +
		"keeps its default",
	"sns/deliver.go: Service.sendHTTP: w.Body.Close": "nothing was read from it",
}

// TestErrorsAreNotThrownAway: nothing that fails in the local cloud is silent.
// What nobody waits for has an end in scheduler.Failed.
func TestErrorsAreNotThrownAway(t *testing.T) {
	tr := theTree(t)
	used := map[string]bool{}
	for _, p := range theTypes(t) {
		for _, f := range p.files {
			for _, u := range p.discards(f) {
				where := strings.TrimPrefix(f.name, "internal/localcloud/") + ": " + enclosing(f, u.at) + ": " + u.what
				if _, ok := mayDiscard[where]; ok {
					used[where] = true
					continue
				}
				t.Errorf("%s: the error of %s is thrown away; return it, or hand it to scheduler.Failed (%s)",
					tr.fset.Position(u.at.Pos()), u.what, where)
			}
		}
	}
	for where, because := range mayDiscard {
		if !used[where] {
			t.Errorf("table mayDiscard: %s (%s) does not need its exception any more", where, because)
		}
	}
}

func TestThrownAwayErrorsAreSeen(t *testing.T) {
	for _, c := range []struct{ body, want string }{
		{`import "os"; func f() { _ = os.Remove("a") }`, "os.Remove"},
		{`import "os"; func f() { b, _ := os.ReadFile("a"); _ = b }`, "os.ReadFile"},
		{`import "os"; func f(err error) { _, _ = os.ReadFile("a"); _ = err }`, "os.ReadFile, err"},
		{`import "os"; func f() { var n int; n, _ = len("a"), os.Remove("a"); _ = n }`, "os.Remove"},
		{`import "strings"; func f() { a, _, _ := strings.Cut("a", "b"); _ = a }`, ""},
		{`import "crypto/sha256"; func f() { h := sha256.New(); _, _ = h.Write(nil) }`, ""},
		{`func f(m map[string]error) { for range m { _ = m } }`, ""},
	} {
		p, err := typesOfText("package p; " + c.body)
		if err != nil {
			t.Fatalf("%s: %v", c.body, err)
		}
		var got []string
		for _, u := range p.discards(p.files[0]) {
			got = append(got, u.what)
		}
		if g := strings.Join(got, ", "); g != c.want {
			t.Errorf("%s: saw %q, want %q", c.body, g, c.want)
		}
	}
}
