package awsapi

import "context"

// Customers' keys: a service that keeps data under a KMS key uses it on behalf of its callers, who need the key's
// permission beside the service's own.

// Keys is KMS as the Door knows it.
type Keys interface {
	// Any tells whether the account has keys of its own: without one nobody needs to be asked.
	Any() bool
	// Use does with a key what the action (GenerateDataKey, Decrypt, …) says, as id, and nothing comes of it.
	// Key is an id, an ARN, an alias or its ARN. Errors are KMS's.
	Use(ctx context.Context, id Identity, key, action string, encryption map[string]string) error
}

// Key is what a resource is kept under.
type Key struct {
	// ID names the KMS key as the customer does; "" is a key of AWS's, for which nobody needs a permission.
	ID string
	// Context is the encryption context by which the service uses it.
	Context map[string]string
}

// Encryption says how a service uses customers' keys.
type Encryption struct {
	// Uses are the actions of KMS that each IAM action of the service needs of its caller.
	Uses map[string][]string
	// Key is what a resource is kept under, for an action on it.
	Key func(action, resource string) (Key, error)
	// Words are a failure of KMS as the service answers it.
	Words func(*Error) *Error
}

// UseKeys tells the Door where keys are. Call it before the first call.
func (d *Door) UseKeys(keys Keys) { d.keys = keys }

// useKey does what an action needs of the key of its resource, as the caller.
func (c *Call) useKey(ctx context.Context, action, resource string) error {
	if c.keys == nil || c.Service == nil || c.Service.Encryption == nil || !c.keys.Any() {
		return nil
	}
	uses := c.Service.Encryption.Uses[action]
	if uses == nil {
		return nil
	}
	key, err := c.Service.Encryption.Key(action, resource)
	if err != nil || key.ID == "" {
		return err
	}
	return c.UseKey(ctx, key, uses...)
}

// Through is the caller, in what the service asks for on its behalf.
func (c *Call) Through() Identity {
	id := c.Identity
	id.Via = c.Service.Prefix + "." + c.Region + ".amazonaws.com"
	return id
}

// UseKey does with a customer's key what the actions of KMS say, as the caller through this service. An error
// is worded by the service.
func (c *Call) UseKey(ctx context.Context, key Key, actions ...string) error {
	if c.keys == nil {
		return nil
	}
	for _, action := range actions {
		if err := c.keys.Use(ctx, c.Through(), key.ID, action, key.Context); err != nil {
			return c.Service.Encryption.Words(AsError(err))
		}
	}
	return nil
}

// KeyErrors words failures of KMS by the code of KMS; others, and codes that are not in the table, are left as
// they are.
func KeyErrors(codes map[string]Error) func(*Error) *Error {
	return func(e *Error) *Error {
		word, ok := codes[e.Code]
		if !ok {
			return e
		}
		out := e.WithStatus(e.Status)
		out.Code, out.Status = word.Code, word.Status
		if word.QueryCode != "" {
			out.QueryCode = word.QueryCode
		}
		return out
	}
}
