package functions

import (
	"io"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/fleetstep/fleetstep/internal/functions/environment"
)

// A controller's id is part of the devices' topics, which have an end.
func TestAControllersIDFitsIntoItsTopic(t *testing.T) {
	for id, fits := range map[string]bool{
		"self::" + strings.Repeat("a", 58): true, "self::" + strings.Repeat("a", 59): false,
		"fleetstep": false, "": false,
	} {
		p := newParts(t.Context(), Vars(map[string]string{environment.ControllerEndpoint: id}, io.Discard),
			aws.Config{Region: "us-east-1"}, nil)
		p.controller()
		if err := p.err("a function"); (err == nil) != fits || err != nil &&
			!strings.Contains(err.Error(), environment.ControllerEndpoint) {
			t.Errorf("%d characters, %q: %v", len(id), id, err)
		}
	}
}

// A distribution without its key makes no function that would send addresses of it.
func TestAddressesNeedAllOfTheirVariables(t *testing.T) {
	all := map[string]string{
		environment.FirmwareBucket: "b", environment.ImageBaseURL: "https://d1.example.net",
		environment.ImageKeyPair: "K1", environment.ImageKeyParameter: "/key",
	}
	for _, missing := range []string{"", environment.FirmwareBucket, environment.ImageKeyPair,
		environment.ImageKeyParameter} {
		p := newParts(t.Context(), Vars(all, io.Discard), aws.Config{Region: "us-east-1"}, nil)
		get := p.env.Get
		p.env.Get = func(name string) string {
			if name == missing {
				return ""
			}
			return get(name)
		}
		p.addresses()
		if err := p.err("a function"); (err == nil) != (missing == "") ||
			err != nil && !strings.Contains(err.Error(), missing) {
			t.Errorf("without %q: %v", missing, err)
		}
	}
}
