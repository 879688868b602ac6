package jsonata

import "time"

// clock is the moment of this evaluation, the same however often it is asked.
func (m *machine) clock() time.Time {
	if !m.haveNow {
		if m.rt == nil || m.rt.Now == nil {
			m.fail(&Error{Code: "D3137", Message: "this evaluation has no clock"})
		}
		m.now, m.haveNow = m.rt.Now(), true
	}
	return m.now
}

func (m *machine) random() float64 {
	if m.rt == nil || m.rt.Random == nil {
		m.fail(&Error{Code: "D3137", Message: "this evaluation has no source of random numbers"})
	}
	return m.rt.Random()
}

func fnMillis(m *machine, _ []any, _ *callSite) any {
	return float64(m.clock().UnixMilli())
}

func fnNow(m *machine, args []any, _ *callSite) any {
	return m.formatMillis(float64(m.clock().UnixMilli()), args[0], args[1])
}

func fnFromMillis(m *machine, args []any, _ *callSite) any {
	f, ok := args[0].(float64)
	if !ok {
		return Undefined
	}
	return m.formatMillis(f, args[1], args[2])
}
