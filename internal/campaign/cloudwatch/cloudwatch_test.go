package cloudwatch_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"github.com/fleetstep/fleetstep/internal/campaign"
	"github.com/fleetstep/fleetstep/internal/campaign/cloudwatch"
)

const prefix = "arn:aws:cloudwatch:eu-central-1:123456789012:alarm:"

// alarms are those that there are: in pages of two.
type alarms struct {
	metric, composite []string
	asked             [][]string
	err               error
}

func (a *alarms) DescribeAlarms(_ context.Context, in *sdk.DescribeAlarmsInput, _ ...func(*sdk.Options)) (
	*sdk.DescribeAlarmsOutput, error) {
	if len(in.AlarmNames) > 100 || len(in.AlarmTypes) != 2 {
		return nil, fmt.Errorf("%d names of types %v", len(in.AlarmNames), in.AlarmTypes)
	}
	a.asked = append(a.asked, in.AlarmNames)
	out := &sdk.DescribeAlarmsOutput{}
	if in.NextToken == nil && len(a.composite) > 0 {
		out.NextToken = aws.String("more")
		for _, name := range a.metric {
			if slices.Contains(in.AlarmNames, name) {
				out.MetricAlarms = append(out.MetricAlarms, types.MetricAlarm{AlarmName: aws.String(name),
					AlarmArn: aws.String(prefix + name), StateValue: types.StateValueOk,
					StateReason: aws.String("fine")})
			}
		}
		return out, a.err
	}
	for _, name := range a.composite {
		if slices.Contains(in.AlarmNames, name) {
			out.CompositeAlarms = append(out.CompositeAlarms, types.CompositeAlarm{AlarmName: aws.String(name),
				AlarmArn: aws.String(prefix + name), StateValue: types.StateValueAlarm,
				StateReason: aws.String(strings.Repeat("ä", 200))})
		}
	}
	return out, a.err
}

func TestAlarmsAreFoundByNameAndByARN(t *testing.T) {
	a := &alarms{metric: []string{"errors", "latency: p99"}, composite: []string{"all"}}
	other := strings.Replace(prefix, "eu-central-1", "us-east-1", 1)
	asked := []string{"errors", prefix + "errors", prefix + "latency: p99", "all", "none", other + "errors"}
	for i := range 120 {
		asked = append(asked, fmt.Sprintf("none-%d", i))
	}
	found, err := cloudwatch.New(a).Alarms(t.Context(), asked)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"all", prefix + "errors", prefix + "latency: p99", "errors"}
	if got := slices.Sorted(maps.Keys(found)); !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
	if found["errors"] != (campaign.Alarm{State: campaign.AlarmOK, Reason: "fine"}) ||
		found["all"] != (campaign.Alarm{State: campaign.AlarmInAlarm, Reason: strings.Repeat("ä", 128)}) {
		t.Errorf("found %+v", found)
	}
	if len(a.asked) != 4 { // two calls of two pages
		t.Errorf("asked %d times", len(a.asked))
	}
	a.err = errors.New("throttled")
	if _, err := cloudwatch.New(a).Alarms(t.Context(), asked); !errors.Is(err, a.err) {
		t.Errorf("%v", err)
	}
}
