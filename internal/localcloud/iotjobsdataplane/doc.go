// Package iotjobsdataplane is AWS IoT Jobs as a device sees it: the HTTP
// operations GetPendingJobExecutions, StartNextPendingJobExecution,
// DescribeJobExecution and UpdateJobExecution, and the same four over the
// reserved MQTT topics
//
//	$aws/things/T/jobs/get          $aws/things/T/jobs/start-next
//	$aws/things/T/jobs/J/get        $aws/things/T/jobs/J/update      (J may be $next in get)
//
// whose answers (.../accepted, .../rejected) go to the asking client alone. The port
// Executions gives the job executions themselves.
//
// Times are epoch seconds. HTTP answers have jobDocument as a string, MQTT answers as an
// object. Refusals are *Rejection values: MQTT sends their code unchanged, HTTP the exception
// of the API model.
//
// An update of a terminal execution is refused with InvalidStateTransition, and a device's
// describe of one with TerminalStateReached, as in the ErrorCode page of the developer guide.
// VersionMismatch has no exception in the HTTP model; the answer is
// InvalidStateTransitionException.
//
// Source: AWS IoT developer guide, "Jobs MQTT API" and "Jobs device MQTT and
// HTTPS APIs"; API model iot-jobs-data.
package iotjobsdataplane
