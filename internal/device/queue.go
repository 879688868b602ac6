package device

import (
	"context"
	"time"
)

// Queue is where messages of devices wait for the function that reads them.
type Queue interface {
	// Postpone has messages that were received come again after their time. What
	// it fails for comes again when the queue's own time is over.
	Postpone(ctx context.Context, list []Delay) error
}

// Delay is a message that is to come again.
type Delay struct {
	Receipt string // of its last receipt
	For     time.Duration
}
