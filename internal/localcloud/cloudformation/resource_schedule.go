package cloudformation

// Schedules.

const updateSchedule = "UpdateSchedule"

// inGroup adds the group, which cannot be changed and is part of a schedule's name.
func inGroup(r Request, in map[string]any) error {
	if group, ok := r.Properties["GroupName"]; ok {
		in["GroupName"] = group
	}
	return nil
}

var schedule = kind{
	service: "scheduler", create: "CreateSchedule", key: "Name", name: naming{property: "Name", max: 64},
	required: []string{"FlexibleTimeWindow", "ScheduleExpression", "Target"},
	properties: members{
		"Name": text, "GroupName": text,
		"Description":                text.by(updateSchedule),
		"ScheduleExpression":         text.by(updateSchedule),
		"ScheduleExpressionTimezone": text.by(updateSchedule),
		"StartDate":                  text.by(updateSchedule),
		"EndDate":                    text.by(updateSchedule),
		"State":                      text.by(updateSchedule),
		"KmsKeyArn":                  text.by(updateSchedule),
		"FlexibleTimeWindow": object(members{"Mode": text, "MaximumWindowInMinutes": number}).by(
			updateSchedule),
		"Target": object(members{
			"Arn": text, "RoleArn": text, "Input": text,
			"DeadLetterConfig": object(members{"Arn": text}),
			"RetryPolicy":      object(members{"MaximumEventAgeInSeconds": number, "MaximumRetryAttempts": number}),
			"SqsParameters":    object(members{"MessageGroupId": text}),
		}).by(updateSchedule),
	},
	build: map[string]func(Request, map[string]any) error{updateSchedule: inGroup, "DeleteSchedule": inGroup},
	attributes: map[string]func(environment, string, map[string]any) any{
		"Arn": func(e environment, name string, out map[string]any) any {
			if arn, ok := out["ScheduleArn"]; ok {
				return arn
			}
			return out["Arn"] // of one that was there already
		},
	},
	remove: "DeleteSchedule", describe: "GetSchedule", exists: []string{"ConflictException"},
	notFound: []string{"ResourceNotFoundException"},
}

var scheduleGroup = kind{
	service: "scheduler", create: "CreateScheduleGroup", key: "Name", name: naming{property: "Name", max: 64},
	properties: members{"Name": text, "Tags": tagList},
	attributes: map[string]func(environment, string, map[string]any) any{
		"Arn": func(e environment, name string, _ map[string]any) any {
			return e.arn("scheduler", "schedule-group/"+name)
		},
		"State": func(environment, string, map[string]any) any { return "ACTIVE" },
	},
	tagging: &tagging{set: "TagResource", unset: "UntagResource", key: "ResourceArn", value: ofAttribute("Arn")},
	remove:  "DeleteScheduleGroup", exists: []string{"ConflictException"},
	notFound: []string{"ResourceNotFoundException"},
}
