package awsapi

import (
	"slices"
	"sync"
)

// maxDenials is how many different denials are remembered.
const maxDenials = 256

// Denials remembers what was refused, so that a run can be asked whether
// anything was. The zero value is ready; methods are safe for concurrent use.
type Denials struct {
	mu    sync.Mutex
	total int64
	known map[Denial]bool
	list  []Denial
}

// Add notes a denial. Equal ones are kept once, and only the first 256 different
// ones; all are counted.
func (d *Denials) Add(denial Denial) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.total++
	if d.known[denial] || len(d.list) == maxDenials {
		return
	}
	if d.known == nil {
		d.known = map[Denial]bool{}
	}
	d.known[denial] = true
	d.list = append(d.list, denial)
}

// Total counts the denials so far.
func (d *Denials) Total() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.total
}

// List returns the different denials in the order in which they first came.
func (d *Denials) List() []Denial {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.list)
}
