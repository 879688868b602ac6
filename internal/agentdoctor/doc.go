// Package agentdoctor examines one real device before its model joins a fleet: whether
// it answers, which firmware images it shows, whether it takes Subscriptions, what news
// it sends of a download and in which order, whether it activates when it is told to,
// what becomes of a download that a restart ends. What differs from what the data model
// promises it names as quirks (package quirk), which can be kept for the model.
//
// It asks as the controller does, by a Line, which an adapter makes of AWS IoT's broker
// (package agentdoctor/line). Without an image nothing is changed but Subscriptions of
// its own, which it removes. With an image the bank that does not run is overwritten;
// with Disruptive the device restarts four times or five, and runs its old version in
// the end where it has two banks.
//
// Files: examine.go the checks in their order; talk.go questions, answers and news; alone.go
// what keeps two examinations of a device apart.
//
// Times. Nothing is waited for without an end: Patience for an answer, Transfer for a
// download, Restart for a restart, Quiet for what should not come. An error is one of
// the Line's, or the context's; all that the device does wrong is a Finding.
//
// Sources: TR-369 (messages), TR-181 (FirmwareImage), and docs/usp.md for how agents
// behave. An Examination is for one call of Run.
package agentdoctor
