// Package ablation holds the template to its word that it grants nothing that
// is not needed: its tests take one thing after the other out of the template's
// policies (a statement, an action or a resource of a statement with several) and
// rehearse a job without it. Something must then go wrong, and what goes wrong
// must name the action that is missing and the role that misses it. With
// everything in place nothing is denied.
//
// What nobody misses is exercised by a scene that story_test.go and scene_test.go
// do not have yet, or it grants too much and goes out of the template.
//
// Plain go test plays everything until the first denial. FLEETSTEP_ABLATION=all
// plays to the end, and without whole statements too.
package ablation
