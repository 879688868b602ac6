package jobs

import (
	"context"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/iot/jobs/configuration"
	"github.com/fleetstep/fleetstep/internal/localcloud/iot/jobs/statusdetails"
)

var (
	idPattern     = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)
	reasonPattern = regexp.MustCompile(`^[A-Z0-9_]{1,128}$`)
)

func checkID(member, id string) error {
	if !idPattern.MatchString(id) {
		return invalid("%s %q must be 1 to 64 characters of a-z, A-Z, 0-9, _ and -.", member, id)
	}
	return nil
}

// checkText holds the rule of descriptions and comments: [^\p{C}]+.
func checkText(member, text string) error {
	if n := utf8.RuneCountInString(text); n > 2028 {
		return invalid("%s has %d characters; at most 2028 are allowed.", member, n)
	}
	if i := strings.IndexFunc(text, statusdetails.Forbidden); i >= 0 {
		r, _ := utf8.DecodeRuneInString(text[i:])
		return invalid("%s has the character %U at byte %d; it must match [^\\p{C}]+.", member, r, i)
	}
	return nil
}

func tagMap(tags []tag) map[string]string {
	m := map[string]string{}
	for _, t := range tags {
		m[t.Key] = t.Value
	}
	return m
}

// passRole refuses a role to sign URLs with that the caller may not pass.
func passRole(ctx context.Context, call *awsapi.Call, p *configuration.PresignedURL) error {
	role := p.Role()
	if role == "" {
		return nil
	}
	return call.Authorize(ctx, "iam:PassRole", role, map[string][]string{"iam:PassedToService": {"iot.amazonaws.com"}})
}
