package ssm

import (
	"context"
	"encoding/base64"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/platform"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

const (
	maxVersions = 100
	maxLevels   = 15
	maxLabels   = 10
	maxTags     = 50
	standard    = 4096 // characters
	advanced    = 8192
)

// Config is what the service needs.
type Config struct {
	platform.Platform
}

// Service is the Parameter Store.
type Service struct{ config Config }

// New returns the service.
func New(config Config) *Service { return &Service{config} }

// Start implements the services' life cycle; nothing is ever under way.
func (s *Service) Start(context.Context) error { return nil }

// Residue implements the services' residue check; nothing is ever unfinished.
func (s *Service) Residue(context.Context) []string { return nil }

// arn is a parameter's ARN: a name that begins with a slash brings the one after "parameter" with it.
func (s *Service) arn(name string) string {
	return "arn:aws:ssm:" + s.config.Region + ":" + s.config.Account + ":parameter/" + strings.TrimPrefix(name, "/")
}

// reference is a parameter as requests name it: by name or ARN, with a version or a label.
type reference struct {
	name     string
	selector string // ":3", ":label", "" for the newest
}

func (s *Service) refer(text string) reference {
	if rest, ok := strings.CutPrefix(text, "arn:aws:ssm:"+s.config.Region+":"+s.config.Account+":parameter"); ok {
		text = rest
		if strings.Count(rest, "/") == 1 {
			// arn:…:parameter/name is a name without a slash, unless it is not there
			text = strings.TrimPrefix(rest, "/")
		}
	}
	name, selector, ok := strings.Cut(text, ":")
	if ok {
		selector = ":" + selector
	}
	return reference{name, selector}
}

// findParameter finds a parameter.
func (s *Service) findParameter(tx *store.Tx, r reference) (parameter, error) {
	p, ok, err := parameters.Get(tx, r.name)
	if err == nil && !ok && !strings.Contains(r.name, "/") {
		p, ok, err = parameters.Get(tx, "/"+r.name)
		if ok && s.arn(p.Name) != s.arn(r.name) {
			ok = false
		}
	}
	if err == nil && !ok {
		err = notFound()
	}
	return p, err
}

// pick chooses the version that a reference means.
func (p parameter) pick(r reference) (version, error) {
	if r.selector == "" {
		return p.latest(), nil
	}
	text := r.selector[1:]
	n, err := strconv.ParseInt(text, 10, 64)
	for _, v := range p.Versions {
		if err == nil && v.Number == n || err != nil && slices.Contains(v.Labels, text) {
			return v, nil
		}
	}
	if err == nil {
		return version{}, noVersion(n, p.Name)
	}
	return version{}, noLabel(text, p.Name)
}

var nameCharacters = regexp.MustCompile(`^[a-zA-Z0-9_.\-/]+$`)

// checkName is what AWS wants of a new parameter's name.
func (s *Service) checkName(name string) error {
	first := strings.ToLower(strings.TrimPrefix(name, "/"))
	switch {
	case name == "" || len(name) > 2048 || !nameCharacters.MatchString(name):
		return invalid("Parameter name: can't be empty and may contain only a mix of letters, numbers and the " +
			"following 4 symbols .-_/")
	case strings.HasPrefix(first, "aws") || strings.HasPrefix(first, "ssm"):
		return invalid(`Parameter name: can't be prefixed with "aws" or "ssm" (case-insensitive). If formed as a path, it can consist of ` +
			`sub-paths divided by slash symbol; each sub-path can be formed as a mix of letters, numbers and the following 3 symbols .-_`)
	case strings.Contains(name, "/") && !strings.HasPrefix(name, "/"):
		return invalid("Parameter name must be a fully qualified name.")
	case strings.HasSuffix(name, "/") || strings.Contains(name, "//"):
		return invalid("Parameter name: a sub-path can't be empty")
	case strings.Count(strings.TrimPrefix(name, "/"), "/")+1 > maxLevels:
		return tooDeep()
	case len(s.arn(name)) > 1011:
		return invalid("Parameter name: the ARN can't be longer than 1011 characters")
	}
	return nil
}

// defaultKey encrypts the secure strings that name no key.
const defaultKey = "alias/aws/ssm"

// seal encrypts the value of a secure string as the caller.
func (s *Service) seal(ctx context.Context, c *awsapi.Call, name, key, value string) (string, error) {
	var out struct{ CiphertextBlob []byte }
	err := awsapi.CallInto(ctx, s.config.Caller, c.Through(), "kms", "Encrypt", map[string]any{
		"KeyId": key, "Plaintext": []byte(value), "EncryptionContext": map[string]string{"PARAMETER_ARN": s.arn(name)},
	}, &out)
	return base64.StdEncoding.EncodeToString(out.CiphertextBlob), keyError(err)
}

// open decrypts it.
func (s *Service) open(ctx context.Context, c *awsapi.Call, name, value string) (string, error) {
	blob, err := base64.StdEncoding.DecodeString(value)
	if err != nil {
		return "", err
	}
	var out struct{ Plaintext []byte }
	err = awsapi.CallInto(ctx, s.config.Caller, c.Through(), "kms", "Decrypt", map[string]any{
		"CiphertextBlob": blob, "EncryptionContext": map[string]string{"PARAMETER_ARN": s.arn(name)},
	}, &out)
	return string(out.Plaintext), keyError(err)
}

// keyError is a failure of KMS as the Parameter Store answers it.
func keyError(err error) error {
	switch code := awsapi.Code(err); code {
	case "":
		return nil
	case "NotFoundException", "DisabledException", "KMSInvalidStateException":
		return awsapi.Errorf("InvalidKeyId", "%s", awsapi.AsError(err).Message)
	}
	return err
}
