package expr

import "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

// AssignFrom takes over a value of the Go SDK; see awsapi.AssignFrom. What the
// wire would refuse is not taken over, so that it is refused there.
func (v *Value) AssignFrom(value any) bool {
	switch a := value.(type) {
	case *types.AttributeValueMemberS:
		*v = Value{Kind: S, Str: a.Value}
	case *types.AttributeValueMemberN:
		n, err := ParseNumber(a.Value)
		if err != nil {
			return false
		}
		*v = Value{Kind: N, Str: n}
	case *types.AttributeValueMemberB:
		*v = Value{Kind: B, Str: string(a.Value)}
	case *types.AttributeValueMemberBOOL:
		*v = Value{Kind: BOOL, Bool: a.Value}
	case *types.AttributeValueMemberNULL:
		*v = Value{Kind: NULL}
		return a.Value
	case *types.AttributeValueMemberM:
		*v = Value{Kind: M}
		return assignMap(&v.Map, a.Value)
	case *types.AttributeValueMemberL:
		*v = Value{Kind: L, List: make([]Value, len(a.Value))}
		for i, m := range a.Value {
			if !v.List[i].AssignFrom(m) {
				return false
			}
		}
	default: // sets among them, which are rare and have rules of their own
		return false
	}
	return true
}

// AssignFrom takes over an item of the Go SDK.
func (i *Item) AssignFrom(value any) bool {
	m, ok := value.(map[string]types.AttributeValue)
	if !ok {
		return false
	}
	if m == nil {
		*i = nil
		return true
	}
	return assignMap((*map[string]Value)(i), m)
}

func assignMap(to *map[string]Value, from map[string]types.AttributeValue) bool {
	*to = make(map[string]Value, len(from))
	for name, a := range from {
		var v Value
		if !v.AssignFrom(a) {
			return false
		}
		(*to)[name] = v
	}
	return true
}

// AssignTo hands an item over to the Go SDK; see awsapi.AssignTo.
func (i Item) AssignTo(to any) bool {
	m, ok := to.(*map[string]types.AttributeValue)
	if ok && i != nil {
		*m = sdkMap(i)
	}
	return ok
}

func sdkMap(from map[string]Value) map[string]types.AttributeValue {
	to := make(map[string]types.AttributeValue, len(from))
	for name, v := range from {
		to[name] = v.sdk()
	}
	return to
}

func (v Value) sdk() types.AttributeValue {
	switch v.Kind {
	case S:
		return &types.AttributeValueMemberS{Value: v.Str}
	case N:
		return &types.AttributeValueMemberN{Value: v.Str}
	case B:
		return &types.AttributeValueMemberB{Value: []byte(v.Str)}
	case BOOL:
		return &types.AttributeValueMemberBOOL{Value: v.Bool}
	case NULL:
		return &types.AttributeValueMemberNULL{Value: true}
	case M:
		return &types.AttributeValueMemberM{Value: sdkMap(v.Map)}
	case L:
		list := make([]types.AttributeValue, len(v.List))
		for i, m := range v.List {
			list[i] = m.sdk()
		}
		return &types.AttributeValueMemberL{Value: list}
	case SS:
		return &types.AttributeValueMemberSS{Value: append([]string(nil), v.Set...)}
	case NS:
		return &types.AttributeValueMemberNS{Value: append([]string(nil), v.Set...)}
	case BS:
		set := make([][]byte, len(v.Set))
		for i, m := range v.Set {
			set[i] = []byte(m)
		}
		return &types.AttributeValueMemberBS{Value: set}
	}
	return nil
}
