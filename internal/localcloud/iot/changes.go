package iot

import (
	"slices"
	"sync"
)

// changes count what changes the permissions of connected clients, so that those who are not concerned keep theirs:
// in a fleet of thousands some thing changes all the time. Things and certificates share a fixed number of counts.
// Two with the same count cost each other a needless look into the store, and nothing else.
type changes struct {
	mu    sync.Mutex
	ofAll uint64 // what may concern everybody: policies, and what has them of groups
	of    [4096]uint64
}

// place is where the changes of a thing or certificate are counted, by its ARN: FNV-1a, with 64 bits.
func (c *changes) place(arn string) int {
	h := uint64(14695981039346656037)
	for i := range len(arn) {
		h = (h ^ uint64(arn[i])) * 1099511628211
	}
	return int(h % uint64(len(c.of)))
}

// places are those of several, each once.
func (c *changes) places(arns ...string) []int {
	var list []int
	for _, arn := range arns {
		if p := c.place(arn); !slices.Contains(list, p) {
			list = append(list, p)
		}
	}
	return list
}

// add counts a change of a thing or certificate; of everything, if the ARN is "".
func (c *changes) add(arn string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if arn == "" {
		c.ofAll++
		return
	}
	c.of[c.place(arn)]++
}

// generation is another one after each change at one of the places.
func (c *changes) generation(places []int) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	sum := c.ofAll
	for _, p := range places {
		sum += c.of[p]
	}
	return sum
}
