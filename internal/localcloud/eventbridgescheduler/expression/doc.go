// Package expression is the language of EventBridge Scheduler's schedule expressions, which
// say when a schedule is due. It does no I/O.
//
//	rate(value unit)                      unit: minute(s), hour(s), day(s); a day is 24 hours
//	cron(minutes hours day-of-month month day-of-week year)
//	at(yyyy-mm-ddThh:mm:ss)               once
//
// A field of cron is a list of items, separated by commas: a value, a range
// (1-5), everything (*), and steps (0/15, 1-30/2, */10). Months and days of the
// week have names (JAN, SUN) beside their numbers (1 is SUN). One of the two
// days, and only one, is "?". A day of the month may be L (the last) or 15W (the
// weekday nearest to it), LW is the last weekday; a day of the week may be 6L
// (the last Friday of the month) or 3#2 (the second Tuesday). Years are 1970 to
// 2199.
//
// cron and at are in the time zone of the schedule. If a change of clocks skips a local time,
// cron skips it and at moves it forward by the gap. If a local time comes twice, the first
// counts. rate counts elapsed time and ignores changes of clocks.
//
// The error of Parse is ErrInvalid. An Expression does not change and may be
// used concurrently.
//
// AWS's documentation does not say these: a range that runs over its end (FRI-MON) is refused;
// W does not leave its month; at in a gap is moved.
//
// Source: EventBridge Scheduler User Guide, "Schedule types in EventBridge
// Scheduler" (read 2026-11).
package expression
