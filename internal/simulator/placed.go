package simulator

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// placed says how many devices of a fleet have which fault, or are of which profile.
type placed[T any] struct {
	drawn []drawn[T]
	fixed map[int]*T // by device number, from 1
}

type drawn[T any] struct {
	what  *T
	count int
}

// Count is how many devices are named.
func (p placed[T]) Count() int {
	n := len(p.fixed)
	for _, d := range p.drawn {
		n += d.count
	}
	return n
}

// item is one of a list: NAME, NAME=COUNT, NAME@DEVICE.
type item struct {
	text, name, number, at string
	counted, isPlaced      bool
}

// add places what an item names. kind names it in an error, named is the name of one, and has joins a device to the
// one that it has already.
func (p *placed[T]) add(i item, what *T, kind, has string, named func(*T) string) error {
	n, err := strconv.Atoi(i.number)
	switch {
	case err != nil || n < 0:
		return fmt.Errorf("%s %s: %q is not a number of devices", kind, i.name, i.number)
	case i.isPlaced && i.counted:
		return fmt.Errorf("%s %s: either a number of devices or one device", kind, i.text)
	case !i.isPlaced:
		p.drawn = append(p.drawn, drawn[T]{what, n})
		return nil
	}
	device, err := strconv.Atoi(i.at)
	switch {
	case err != nil || device < 1:
		return fmt.Errorf("%s %s: %q is not the number of a device", kind, i.name, i.at)
	case p.fixed[device] != nil:
		return fmt.Errorf("%s %s: device %d already %s %s", kind, i.name, device, has, named(p.fixed[device]))
	}
	p.fixed[device] = what
	return nil
}

// eachItem reads a list separated by commas. All mistakes come in one error.
func eachItem(text string, read func(item) error) error {
	var errs []error
	for part := range strings.SplitSeq(text, ",") {
		i := item{text: strings.TrimSpace(part)}
		if i.text == "" {
			continue
		}
		i.name, i.at, i.isPlaced = strings.Cut(i.text, "@")
		if i.name, i.number, i.counted = strings.Cut(i.name, "="); !i.counted {
			i.number = "1"
		}
		if err := read(i); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
