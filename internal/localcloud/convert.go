package localcloud

import (
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/dynamodb/expr"
)

// conversions copy the members that a direct call has as the SDK's types and that are
// more than structs, lists and plain values. What they do not know takes the wire, as
// does what the wire would refuse.
var conversions = awsapi.Conversions{}

func init() {
	awsapi.Convert(conversions, fromTime)
	awsapi.Convert(conversions, fromValue)
	awsapi.Convert(conversions, fromItem)
	awsapi.Convert(conversions, toItem)
}

func fromTime(t awsapi.Time) (*time.Time, bool) { return &t.Time, true }

func fromValue(a types.AttributeValue) (v expr.Value, ok bool) {
	switch a := a.(type) {
	case *types.AttributeValueMemberS:
		return expr.Value{Kind: expr.S, Str: a.Value}, true
	case *types.AttributeValueMemberN:
		n, err := expr.ParseNumber(a.Value)
		return expr.Value{Kind: expr.N, Str: n}, err == nil
	case *types.AttributeValueMemberB:
		return expr.Value{Kind: expr.B, Str: string(a.Value)}, true
	case *types.AttributeValueMemberBOOL:
		return expr.Value{Kind: expr.BOOL, Bool: a.Value}, true
	case *types.AttributeValueMemberNULL:
		return expr.Value{Kind: expr.NULL}, a.Value
	case *types.AttributeValueMemberM:
		m, ok := fromMap(a.Value)
		return expr.Value{Kind: expr.M, Map: m}, ok
	case *types.AttributeValueMemberL:
		list := make([]expr.Value, len(a.Value))
		for i, m := range a.Value {
			if list[i], ok = fromValue(m); !ok {
				return expr.Value{}, false
			}
		}
		return expr.Value{Kind: expr.L, List: list}, true
	default: // sets, which are rare and have rules of their own
		return expr.Value{}, false
	}
}

func fromItem(m map[string]types.AttributeValue) (expr.Item, bool) {
	if m == nil {
		return nil, true
	}
	return fromMap(m)
}

func fromMap(from map[string]types.AttributeValue) (map[string]expr.Value, bool) {
	to := make(map[string]expr.Value, len(from))
	for name, a := range from {
		v, ok := fromValue(a)
		if !ok {
			return nil, false
		}
		to[name] = v
	}
	return to, true
}

func toItem(i expr.Item) (map[string]types.AttributeValue, bool) {
	if i == nil {
		return nil, true
	}
	return toMap(i), true
}

func toMap(from map[string]expr.Value) map[string]types.AttributeValue {
	to := make(map[string]types.AttributeValue, len(from))
	for name, v := range from {
		to[name] = toValue(v)
	}
	return to
}

func toValue(v expr.Value) types.AttributeValue {
	switch v.Kind {
	case expr.S:
		return &types.AttributeValueMemberS{Value: v.Str}
	case expr.N:
		return &types.AttributeValueMemberN{Value: v.Str}
	case expr.B:
		return &types.AttributeValueMemberB{Value: []byte(v.Str)}
	case expr.BOOL:
		return &types.AttributeValueMemberBOOL{Value: v.Bool}
	case expr.NULL:
		return &types.AttributeValueMemberNULL{Value: true}
	case expr.M:
		return &types.AttributeValueMemberM{Value: toMap(v.Map)}
	case expr.L:
		list := make([]types.AttributeValue, len(v.List))
		for i, m := range v.List {
			list[i] = toValue(m)
		}
		return &types.AttributeValueMemberL{Value: list}
	case expr.SS:
		return &types.AttributeValueMemberSS{Value: slices.Clone(v.Set)}
	case expr.NS:
		return &types.AttributeValueMemberNS{Value: slices.Clone(v.Set)}
	case expr.BS:
		set := make([][]byte, len(v.Set))
		for i, m := range v.Set {
			set[i] = []byte(m)
		}
		return &types.AttributeValueMemberBS{Value: set}
	}
	return nil
}
