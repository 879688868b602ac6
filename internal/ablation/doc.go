// Package ablation holds the template to its word that it grants nothing that
// is not needed: its tests take one statement after the other out of the
// template's policies and play a campaign without it. Something must then go
// wrong, and what goes wrong must name the action that is missing. With every
// statement in place nothing is denied.
//
// A statement that nobody misses is exercised by a scene that story_test.go does not
// have yet, or it grants too much and goes out of the template.
//
// Plain go test plays every statement, each until the first denial.
// FLEETSTEP_ABLATION=all plays each to its end. What is taken out is always a
// whole statement, never one of its actions.
package ablation
