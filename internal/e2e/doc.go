// Package e2e tests Fleetstep as a user meets it: scripts (testdata/*.txtar)
// against the built programs, over real sockets, with real Lambda processes.
// The first word of a script's name is its subject.
//
// The programs are built once per run of the tests, into a temporary folder.
// Each script has a local cloud, ports and a data folder of its own. Beside the
// commands of testscript a script has
//
//	cloud start [flag...]    start "fleetstep local" on $WORK/data and wait for its line; its
//	                         endpoint, outputs and access key are then in the environment,
//	                         under AWS's names, the names of the outputs, $CA and $BROKER
//	cloud stop               end it by Ctrl-C; it must exit with 0
//	cloud kill               end it by kill -9
//	simulate N [flag...]     run "fleetstep simulate" beside the script, once N agents are connected
//	aws SERVICE CALL [BODY]  one signed request; the answer is on stdout. SERVICE is the name that
//	                         signs. CALL is a target of AWS JSON (DynamoDB_20120810.Scan), or FORM,
//	                         or METHOD /path (one word: GET:/things). BODY may be @FILE
//	until REGEXP aws ...     repeat the request until its answer matches
//	usage ARG...             run "fleetstep ARG...", which must exit with 2
//	same A B                 compare two words
//	capture NAME REGEXP      put the group of what REGEXP finds in the last output into the environment
//
// and $EVENTS, the folder of sample payloads. "! aws" wants an answer that is an
// error.
//
// The tests are skipped with -short. They are the only ones that wait in real
// time: what they look at are processes.
package e2e
