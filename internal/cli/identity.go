package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/fleetstep/fleetstep/internal/event"
)

// proofSeconds is how long STS takes a proof.
const proofSeconds = 60

// Prove is a presigned GetCallerIdentity request, whose signature names the subject:
// whoever gets it can ask STS who we are, for a minute, and nothing else. No secret is
// in it.
func Prove(ctx context.Context, cfg aws.Config, subject string, now time.Time) (string, error) {
	address, err := stsAddress(ctx, cfg)
	if err != nil {
		return "", err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet,
		address+"/?Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Expires="+strconv.Itoa(proofSeconds), nil)
	if err != nil {
		return "", err
	}
	r.Header.Set(event.ProofHeader, subject)
	keys, err := cfg.Credentials.Retrieve(ctx)
	if err != nil {
		return "", err
	}
	empty := sha256.Sum256(nil)
	url, _, err := v4.NewSigner().PresignHTTP(ctx, keys, r, hex.EncodeToString(empty[:]), "sts", cfg.Region, now)
	if err != nil {
		return "", fmt.Errorf("presign GetCallerIdentity: %w", err)
	}
	return url, nil
}

// stsAddress is the address of STS in a configuration's region, without a slash at
// its end.
func stsAddress(ctx context.Context, cfg aws.Config) (string, error) {
	if cfg.BaseEndpoint != nil {
		return *cfg.BaseEndpoint, nil
	}
	e, err := sts.NewDefaultEndpointResolverV2().ResolveEndpoint(ctx, sts.EndpointParameters{
		Region: &cfg.Region, UseGlobalEndpoint: aws.Bool(false),
	})
	if err != nil {
		return "", fmt.Errorf("the endpoint of STS in %q: %w", cfg.Region, err)
	}
	return e.URI.String(), nil
}
