package awsapi

import (
	"net/http"
)

// Authenticator finds out who sent a request; internal/localcloud/sts is it.
type Authenticator interface {
	// Authenticate checks the request's signature (header or presigned
	// query) over the given body and returns the caller and the service of
	// the credential scope. The error is AWS's, as an *Error.
	Authenticate(r *http.Request, body []byte) (id Identity, signing string, err error)
}

// router finds the operation of a REST request.
type router struct{ s *Service }

func newRouter(s *Service) *router { return &router{s} }

// ServeHTTP implements http.Handler.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	http.Error(w, "not built", http.StatusNotImplemented)
}
