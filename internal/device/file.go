package device

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
)

// File is an object of S3 that an agent is to fetch. A version of "" is the newest.
type File struct {
	Bucket, Key, Version string
	// Lasts is for how long the agent may begin to fetch it.
	Lasts time.Duration
}

// Addresses makes the addresses of files. Who has one may read the file, for a while: so
// it is made as the command goes out, for each sending anew, and kept nowhere.
type Addresses interface {
	Address(ctx context.Context, f File) (string, error)
}

// NoAddresses is for senders whose commands name no files.
type NoAddresses struct{}

// Address implements Addresses: it always fails.
func (NoAddresses) Address(context.Context, File) (string, error) {
	return "", errors.New("this function makes no addresses of files")
}

// Addressed is a message to an agent as it may be sent now: an Operate with the
// addresses of its files among its arguments, and any other as it is.
func Addressed(ctx context.Context, m event.Outgoing, from Addresses) (event.Outgoing, error) {
	r, ok := m.(*Operate)
	if !ok || len(r.Files) == 0 {
		return m, nil
	}
	out := *r
	out.Args, out.Files = maps.Clone(r.Args), nil
	if out.Args == nil {
		out.Args = map[string]string{}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Files)) {
		address, err := from.Address(ctx, r.Files[name])
		if err != nil {
			return nil, fmt.Errorf("device: %s: argument %s: %w", r.Command, name, err)
		}
		out.Args[name] = address
	}
	return &out, nil
}
