package awsapi

// Why is the policy that a denial comes from.
type Why int

// The reasons, in the order in which policies are asked. Unexplained is for services
// that do not tell.
const (
	Unexplained Why = iota
	DenyOfResource
	NoResourcePolicy
	DenyOfIdentity
	NoIdentityPolicy
	DenyOfBoundary
	NoBoundary
	NoCertificate
)

// Denial is a refused action.
type Denial struct {
	Who      string // "User: ARN", or another name of whoever asked
	Action   string // as the service spells it
	Resource string // "" is left out
	Why      Why
}

// String is the denial in AWS's words ("Troubleshoot access denied error
// messages", IAM User Guide).
func (d Denial) String() string {
	text := d.Who + " is not authorized to perform: " + d.Action
	if d.Resource != "" {
		text += " on resource: " + d.Resource
	}
	switch d.Why {
	case DenyOfResource:
		return text + " with an explicit deny in a resource-based policy"
	case DenyOfIdentity:
		return text + " with an explicit deny in an identity-based policy"
	case DenyOfBoundary:
		return text + " with an explicit deny in a permissions boundary"
	case NoResourcePolicy:
		return text + " because no resource-based policy allows the " + d.Action + " action"
	case NoIdentityPolicy:
		return text + " because no identity-based policy allows the " + d.Action + " action"
	case NoBoundary:
		return text + " because no permissions boundary allows the " + d.Action + " action"
	case NoCertificate:
		return text + " because it shows no active certificate"
	default:
		return text
	}
}

// Denied makes the error of a denial.
func Denied(code string, d Denial) *Error {
	return &Error{Code: code, Message: d.String(), Status: 403, Denial: &d}
}

// Reworded is the error of the same denial in other words.
func (e *Error) Reworded(d Denial) *Error {
	c := *e
	c.Message, c.Denial = d.String(), &d
	return &c
}
