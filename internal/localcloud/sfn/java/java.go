// Package java has what shows of Java in the answers of AWS Step Functions: the order in which its hash tables give
// their elements.
package java

import "unicode/utf16"

// String is the hash code of a text.
func String(s string) int32 {
	var h int32
	for _, unit := range utf16.Encode([]rune(s)) {
		h = 31*h + int32(unit)
	}
	return h
}

// Buckets is how many buckets a table has that is made for some elements.
func Buckets(elements int) int {
	size := 16
	for size < elements*4/3+1 {
		size *= 2
	}
	return size
}

// Grown is how many buckets a table has to which some elements were added.
func Grown(elements int) int {
	size := 16
	for size*3/4 < elements {
		size *= 2
	}
	return size
}

// Bucket is that of a hash code in a table of so many.
func Bucket(hash int32, buckets int) int {
	return int(uint32(hash)^uint32(hash)>>16) & (buckets - 1)
}
