package jsonata

import "testing"

var benchInput = `{"id":"job-7","a":{"b":"value","n":41},"items":[` +
	`{"id":1,"name":"alpha","price":12.5,"tags":["x","y"]},{"id":2,"name":"beta","price":7,"tags":[]},` +
	`{"id":3,"name":"gamma","price":30,"tags":["z"]},{"id":4,"name":"delta","price":1.25,"tags":["x"]}],` +
	`"device":{"name":"rg-17","state":{"connected":true,"versions":["1.0.0","1.1.0"]}}}`

func BenchmarkEval(b *testing.B) {
	for _, c := range []struct{ name, expr string }{
		{"path", `$states.input.a.b`},
		{"root", `$states.input`},
		{"compare", `$states.input.a.n > 40 and $states.input.id = "job-7"`},
		{"arithmetic", `$states.input.a.n + 1`},
		{"concat", `"device/" & $states.input.device.name & "/state"`},
		{"object", `{"id": $states.input.id, "name": $states.input.device.name, "n": $states.input.a.n}`},
		{"merge", `$merge([$states.input.a, {"done": true}])`},
		{"index", `$states.input.items[1].name`},
		{"filter", `$states.input.items[price > 10].name`},
		{"filterFunction", `$filter($states.input.items, function($i) { $i.price > 10 })`},
		{"map", `$map($states.input.items, function($i) { $i.price * 2 })`},
		{"sum", `$sum($states.input.items.price)`},
		{"condition", `$states.input.device.state.connected ? "up" : "down"`},
		{"block", `($x := $states.input.a.n; $y := $x * 2; $x + $y)`},
		{"string", `$string($states.input.device)`},
		{"regex", `$contains($states.input.device.name, /^rg-[0-9]+$/)`},
	} {
		b.Run(c.name, func(b *testing.B) {
			input, err := DecodeJSON([]byte(benchInput))
			if err != nil {
				b.Fatal(err)
			}
			states := NewObject(1)
			states.Set("input", input)
			bindings := map[string]Value{"states": states}
			e := MustCompile(c.expr, StepFunctions())
			b.ReportAllocs()
			for b.Loop() {
				if _, err := e.Eval(nil, Undefined, bindings); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Compile(`$map($states.input.items[price > 10], function($i) { {"id": $i.id, "cost": $i.price * 2} })`); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeJSON(b *testing.B) {
	b.SetBytes(int64(len(benchInput)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeJSON([]byte(benchInput)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncodeJSON(b *testing.B) {
	v, err := DecodeJSON([]byte(benchInput))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(benchInput)))
	b.ReportAllocs()
	var buf []byte
	for b.Loop() {
		if buf, err = AppendJSON(buf[:0], v); err != nil {
			b.Fatal(err)
		}
	}
}
