// Package usprecord is the USP record as Go types, generated from
// proto/usp-record.proto (TR-369, section "USP Record"). Package internal/usp
// builds and reads them.
package usprecord
