package dynamodb

import (
	"context"
	"math"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/fleetstep/fleetstep/internal/event"
)

// oneItem is a table of one item.
type oneItem struct {
	API
	item item
}

func (o oneItem) Query(context.Context, *dynamodb.QueryInput, ...func(*dynamodb.Options)) (*dynamodb.QueryOutput,
	error) {
	return &dynamodb.QueryOutput{Items: []map[string]types.AttributeValue{o.item}}, nil
}

// A number that cannot be read is no 0: a claim without a deadline, say, would be
// anybody's.
func TestMalformedNumbersAreErrors(t *testing.T) {
	for sk, attributes := range map[string][]string{
		skState:             {"v", "seenAt", "presenceVersion"},
		skClaim:             {"v", "executionNumber", "claimedAt", "deadline", "expiresAt", "rev"},
		skPending + "JOB#j": {"v", "executionNumber", "lastsSeconds", "at", "expiresAt"},
		skAwait + "INSPECT": {"v", "rev", "since", "expiresAt"},
	} {
		for _, name := range attributes {
			for _, bad := range []types.AttributeValue{
				&types.AttributeValueMemberN{Value: "1.5"}, &types.AttributeValueMemberN{Value: "1E40"}, s("7"),
				flag(true),
			} {
				i := key(devicePK("rg-1"), sk)
				i["v"] = n(form)
				i[name] = bad
				_, err := New(oneItem{item: i}, "t").Load(t.Context(), "rg-1")
				if err == nil || !strings.Contains(err.Error(), sk) || !strings.Contains(err.Error(), name) {
					t.Errorf("%s, %s %v: %v", sk, name, bad, err)
				}
			}
		}
	}
	i := key(devicePK("rg-1"), skClaim)
	i["v"], i["rev"] = n(form), &types.AttributeValueMemberN{Value: "7"}
	if d, err := New(oneItem{item: i}, "t").Load(t.Context(), "rg-1"); err != nil || d.Claim.Rev != 7 {
		t.Errorf("%+v, %v", d.Claim, err)
	}
}

func TestWhatCannotBeEncodedIsNotStored(t *testing.T) {
	if v, err := js(math.NaN()); err == nil {
		t.Errorf("stored as %v", v)
	}
	if v, err := js(map[event.Step]int{"INSPECT": 2}); err != nil || v.(*types.AttributeValueMemberS).Value != `{"INSPECT":2}` {
		t.Errorf("%v, %v", v, err)
	}
}
