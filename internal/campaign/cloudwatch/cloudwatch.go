// Package cloudwatch reads how alarms of CloudWatch stand (campaign.Alarms), metric alarms and composite ones, of the
// account and Region of its client. Alarms of other accounts are not there: DescribeAlarms knows names, and an ARN is
// compared with what it answers.
package cloudwatch

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"github.com/fleetstep/fleetstep/internal/campaign"
)

// API is the part of CloudWatch that is used.
type API interface {
	DescribeAlarms(ctx context.Context, in *cloudwatch.DescribeAlarmsInput, opts ...func(*cloudwatch.Options)) (
		*cloudwatch.DescribeAlarmsOutput, error)
}

// Alarms are campaign.Alarms.
type Alarms struct{ api API }

// New are those that a client sees.
func New(api API) *Alarms { return &Alarms{api} }

// mostNames is how many alarms a call takes, and answers (CloudWatch API Reference, DescribeAlarms).
const mostNames = 100

// mostReason is how much of an alarm's reason is kept, in bytes.
const mostReason = 256

// Alarms implements campaign.Alarms.
func (a *Alarms) Alarms(ctx context.Context, asked []string) (map[string]campaign.Alarm, error) {
	by := map[string][]string{} // what was asked, by name
	var names []string
	for _, one := range asked {
		name := one
		if campaign.IsAlarmARN(one) {
			name = strings.SplitN(one, ":", 7)[6]
		}
		if by[name] == nil {
			names = append(names, name)
		}
		by[name] = append(by[name], one)
	}
	found := map[string]campaign.Alarm{}
	add := func(name, arn *string, state types.StateValue, reason *string) {
		for _, one := range by[aws.ToString(name)] {
			if campaign.IsAlarmARN(one) && one != aws.ToString(arn) {
				continue // of another account, or Region
			}
			text := aws.ToString(reason)
			if len(text) > mostReason {
				text = strings.ToValidUTF8(text[:mostReason], "")
			}
			found[one] = campaign.Alarm{State: campaign.AlarmState(state), Reason: text}
		}
	}
	for len(names) > 0 {
		n := min(len(names), mostNames)
		pages := cloudwatch.NewDescribeAlarmsPaginator(a.api, &cloudwatch.DescribeAlarmsInput{
			AlarmNames: names[:n], MaxRecords: aws.Int32(mostNames),
			AlarmTypes: []types.AlarmType{types.AlarmTypeMetricAlarm, types.AlarmTypeCompositeAlarm},
		})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return nil, fmt.Errorf("campaign/cloudwatch.Alarms: %w", err)
			}
			for _, m := range page.MetricAlarms {
				add(m.AlarmName, m.AlarmArn, m.StateValue, m.StateReason)
			}
			for _, c := range page.CompositeAlarms {
				add(c.AlarmName, c.AlarmArn, c.StateValue, c.StateReason)
			}
		}
		names = names[n:]
	}
	return found, nil
}
