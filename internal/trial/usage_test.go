package trial

import "testing"

func TestWhatAJobTookIsItsDevices(t *testing.T) {
	before := []Calls{
		{"s-finalize", "lambda", "Invoke", 5}, {"s-finalize", "dynamodb", "Query", 7},
		{"iot-rule", "sqs", "SendMessage", 100},
	}
	after := []Calls{
		{"s-finalize", "lambda", "Invoke", 9}, {"s-finalize", "dynamodb", "Query", 10},
		{"s-finalize", "dynamodb", "TransactWriteItems", 2}, {"s-start-upgrade", "dynamodb", "PutItem", 4},
		{"s-start-upgrade", "dynamodb", "BatchGetItem", 3}, {"s-start-upgrade", "dynamodb", "DescribeTable", 3},
		{"s-handle-device-message", "lambda", "Invoke", 3}, {"s-handle-device-message", "sqs",
			"DeleteMessageBatch", 3},
		{"iot-rule", "sqs", "SendMessage", 121}, {"iot-rule", "lambda", "Invoke", 50},
		{"s-tick", "lambda", "Invoke", 90}, {"s-tick", "dynamodb", "Query", 90}, {"s-create-job", "lambda",
			"Invoke", 1},
		{"other-finalize", "lambda", "Invoke", 77}, {"other-finalize", "dynamodb", "Query", 77},
	}
	want := PerUpgrade{Invocations: 2.33, Reads: 2, Writes: 2, Batch: 7}
	if got := perUpgrade(before, after, "s", 3); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := perUpgrade(before, after, "s", 0); got != (PerUpgrade{}) {
		t.Errorf("of no device: %+v", got)
	}
}
