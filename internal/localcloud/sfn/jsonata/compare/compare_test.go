package compare

import "testing"

// states is what a Task state of an upgrade sees.
const states = `{"input":{"id":"job-7","a":{"b":"value","n":41},"items":[
 {"id":1,"name":"alpha","price":12.5,"tags":["x","y"]},{"id":2,"name":"beta","price":7,"tags":[]},
 {"id":3,"name":"gamma","price":30,"tags":["z"]},{"id":4,"name":"delta","price":1.25,"tags":["x"]}],
 "device":{"name":"rg-17","model":"RG-5","state":{"connected":true,"versions":["1.0.0","1.1.0"]}}},
 "result":{"StatusCode":200,"Payload":{"version":"1.1.0","attempts":2,"phases":[
 {"name":"download","seconds":41},{"name":"activate","seconds":63},{"name":"verify","seconds":4}]}},
 "context":{"Execution":{"Name":"job-7-rg-17","RoleArn":"arn:aws:iam::111111111111:role/r"},
 "State":{"Name":"Upgrade","RetryCount":1}}}`

// mix is the Output of a state as people write them.
const mix = `{
 "device": $uppercase($states.input.device.name) & "/" & $states.input.device.model,
 "execution": $states.context.Execution.Name,
 "ok": $states.result.StatusCode = 200 and $states.result.Payload.version in $states.input.device.state.versions,
 "seconds": $sum($states.result.Payload.phases.seconds),
 "slow": [$states.result.Payload.phases[seconds > 10].name],
 "retried": $states.context.State.RetryCount > 0 ? "yes" : "no",
 "phases": $map($states.result.Payload.phases, function($p) { {"phase": $p.name, "minutes": $round($p.seconds / 60, 1)} }),
 "payload": $merge([$states.result.Payload, {"job": $states.input.id}])
}`

var cases = []struct{ name, expression string }{
	{"path", `$states.input.a.b`},
	{"index", `$states.input.items[1].name`},
	{"comparison", `$states.input.a.n > 40 and $states.input.id = "job-7"`},
	{"condition", `$states.input.device.state.connected ? "up" : "down"`},
	{"object", `{"id": $states.input.id, "name": $states.input.device.name, "n": $states.input.a.n + 1}`},
	{"merge", `$merge([$states.input.a, {"done": true}])`},
	{"filter", `$states.input.items[price > 10].name`},
	{"filterFunction", `$filter($states.input.items, function($i) { $i.price > 10 })`},
	{"map", `$map($states.input.items, function($i) { $i.price * 2 })`},
	{"sum", `$sum($states.input.items.price)`},
	{"concat", `"device/" & $states.input.device.name & "/state"`},
	{"strings", `$join($split($uppercase($substringBefore($states.context.Execution.Name, "-rg")), "-"), "_")`},
	{"regex", `$contains($states.input.device.name, /^rg-[0-9]+$/)`},
	{"mix", mix},
}

// TestEqual holds what is measured to be the same work.
func TestEqual(t *testing.T) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			want := result(t, engines[0], c.expression)
			for _, other := range engines[1:] {
				t.Run(other.name, func(t *testing.T) {
					if got := result(t, other, c.expression); !sameJSON(t, got, want) {
						t.Errorf("%s gives %s, %s %s", engines[0].name, want, other.name, got)
					}
				})
			}
		})
	}
}

func result(tb testing.TB, e engine, expression string) string {
	tb.Helper()
	p := e.prepare(tb, expression, states)
	v, err := p.eval()
	if err != nil {
		tb.Fatal(err)
	}
	prepared, err := p.json(v)
	if err != nil {
		tb.Fatal(err)
	}
	direct, err := e.text(tb, expression)(states)
	if err != nil {
		tb.Fatal(err)
	}
	if !sameJSON(tb, prepared, direct) {
		tb.Fatalf("%s, then %s", prepared, direct)
	}
	return prepared
}

// BenchmarkEval evaluates compiled expressions, documents and results in the
// form of each engine.
func BenchmarkEval(b *testing.B) {
	for _, c := range cases {
		b.Run(c.name, func(b *testing.B) {
			for _, e := range engines {
				b.Run(e.name, func(b *testing.B) {
					if want, got := result(b, engines[0], c.expression), result(b, e, c.expression); !sameJSON(b,
						got, want) {
						b.Fatalf("%s instead of %s", got, want)
					}
					p := e.prepare(b, c.expression, states)
					b.ReportAllocs()
					defer cpu(b)()
					for b.Loop() {
						if _, err := p.eval(); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		})
	}
}

// BenchmarkText goes from the text of $states to the text of the result, as an
// interpreter has to that keeps its documents as text.
func BenchmarkText(b *testing.B) {
	for _, e := range engines {
		b.Run(e.name, func(b *testing.B) {
			run := e.text(b, mix)
			b.ReportAllocs()
			defer cpu(b)()
			for b.Loop() {
				if _, err := run(states); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkCompile compiles the longest of the expressions.
func BenchmarkCompile(b *testing.B) {
	for _, e := range engines {
		b.Run(e.name, func(b *testing.B) {
			compile := e.compile(b)
			b.ReportAllocs()
			defer cpu(b)()
			for b.Loop() {
				if err := compile(mix); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
