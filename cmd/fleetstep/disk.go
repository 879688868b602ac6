package main

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"syscall"

	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// diskAdvice is the text of a failure of the data folder's disk, with what to do.
func diskAdvice(err error, dataDir string) string {
	again := ", then start again with --data-dir " + dataDir + ": nothing that was acknowledged is lost"
	do := ""
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		do = "Free some space on that disk" + again
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		do = "Allow more open files (ulimit -n)" + again
	case errors.Is(err, syscall.EROFS), errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		do = "Make the folder writable for this user" + again
	case errors.Is(err, syscall.EIO):
		do = "The disk itself is broken: see the system's log, and copy the folder to another disk" + again
	case errors.Is(err, store.ErrDamaged):
		do = "\"fleetstep local check --data-dir " + dataDir +
			"\" says what is affected. Put the folder back from a copy, or start with another --data-dir"
	case strings.Contains(err.Error(), "in use by"):
		do = "End that process, or start with another --data-dir"
	default:
		return err.Error()
	}
	return err.Error() + ". " + do + "."
}

// size is a number of bytes as a flag: 67108864, 64MiB, 1GiB.
type size uint64

func (s *size) Type() string { return "size" }

func (s *size) String() string {
	n := uint64(*s)
	for _, u := range []struct {
		unit  string
		shift uint
	}{{"GiB", 30}, {"MiB", 20}, {"KiB", 10}} {
		if n != 0 && n%(1<<u.shift) == 0 {
			return strconv.FormatUint(n>>u.shift, 10) + u.unit
		}
	}
	return strconv.FormatUint(n, 10)
}

func (s *size) Set(text string) error {
	shift := 0
	digits := text
	for unit, n := range map[string]int{"KiB": 10, "MiB": 20, "GiB": 30} {
		if before, ok := strings.CutSuffix(text, unit); ok {
			digits, shift = before, n
		}
	}
	n, err := strconv.ParseUint(strings.TrimSpace(digits), 10, 64)
	if err != nil || n > math.MaxInt64>>shift {
		return fmt.Errorf("%q is not a size: want a number of bytes, KiB, MiB or GiB, such as 64MiB", text)
	}
	*s = size(n << shift)
	return nil
}
