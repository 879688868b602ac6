package asl

import (
	"fmt"
	"strings"
	"testing"
)

// BenchmarkDocument takes documents of growing size through ten JSONata states
// that each look at a little of theirs, hand it on, and keep a variable.
func BenchmarkDocument(b *testing.B) {
	var states strings.Builder
	for i := range 10 {
		next := fmt.Sprintf(`"Next":"S%d"`, i+1)
		if i == 9 {
			next = `"End":true`
		}
		fmt.Fprintf(&states, `,"S%d":{"Type":"Pass","Assign":{"last":"{%% $states.input.step %%}"},
		 "Output":{"step":"{%% $states.input.step + 1 %%}","device":"{%% $states.context.Execution.Input.devices[0].name %%}","devices":"{%% $states.input.devices %%}"},%s}`, i, next)
	}
	m := compileOrFail(b, `{"QueryLanguage":"JSONata","StartAt":"S0","States":{`+states.String()[1:]+`}}`)
	for _, devices := range []int{1, 30, 1000} {
		list := make([]string, devices)
		for i := range list {
			list[i] = fmt.Sprintf(`{"name":"rg-%d","versions":["1.0.0","1.1.0"],"online":true,"uptime":%d}`, i, 1000*i)
		}
		input := `{"step":0,"devices":[` + strings.Join(list, ",") + `]}`
		b.Run(fmt.Sprintf("%dB", len(input)), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r := New(m, &clock{}, Info{Input: TextData(input)})
				r.Record = func(*Event) {}
				r.Start()
				if r.Status != Succeeded {
					b.Fatal(r.Status, *r.Cause)
				}
			}
			b.ReportMetric(10*float64(b.N)/b.Elapsed().Seconds(), "transitions/s")
		})
	}
}
