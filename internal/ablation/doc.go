// Package ablation tests that the template grants nothing that is not needed. Its tests
// take one permission after the other out of the template's policies (a statement, or
// an action or a resource of a statement that has several) and rehearse a job without
// it. Something must then go wrong, and the error must name the action that is missing
// and the role that needs it. With every permission in place nothing is denied.
//
// If nothing goes wrong without a permission, either story_test.go and scene_test.go
// lack the scene that needs it, or it does not belong in the template.
//
// Plain go test ends each rehearsal at the first denial. FLEETSTEP_ABLATION=all plays
// each to its end, and leaves out whole statements too.
package ablation
