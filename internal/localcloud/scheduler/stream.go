package scheduler

import "math/rand/v2"

// Stream returns random numbers that follow from seed alone, in either mode.
// Whoever draws from them changes nothing for anybody else. They are safe for
// concurrent use.
func Stream(seed uint64) *rand.Rand {
	return rand.New(&lockedSource{src: rand.NewPCG(seed, 0x2545f4914f6cdd1d)})
}
