// Package ablation tests that the template grants nothing that is not needed. Its tests
// take one permission after the other out of the template's policies (a statement, or
// an action or a resource of a statement that has several) and rehearse a job without
// it. Something must then go wrong, and the error must name the action that is missing
// and the role that needs it. With every permission in place nothing is denied.
//
// If nothing goes wrong without a permission, then the scene that needs it is missing in
// story_test.go or scene_test.go, or the permission does not belong in the template.
//
// Plain go test ends each rehearsal at the first denial. FLEETSTEP_ABLATION=all runs each to
// its end, and also leaves out whole statements.
package ablation
