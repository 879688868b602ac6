// Package ablation holds the template to its word that it grants nothing that
// is not needed: its tests take one statement after the other out of the
// template's policies and play a campaign without it. Something must then go
// wrong, and what goes wrong must name the action that is missing. With every
// statement in place nothing is denied.
//
// A statement that nobody misses is exercised by a scene that story.go does not
// have yet, or it grants too much and goes out of the template.
//
// Plain go test plays every statement once. FLEETSTEP_ABLATION=all also takes out
// single actions of statements that allow several; the actions that no scene
// needs are listed, with the reason, in actions_test.go, and the test fails when
// one of the listed is missed after all.
package ablation
