package ablation

import (
	"context"
	"strings"
	"testing"

	"github.com/fleetstep/fleetstep/infra"
	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/iam"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
	"github.com/fleetstep/fleetstep/internal/rehearsal"
)

// The door of the local cloud counts as TLS, so the policy as it was deployed is
// asked about a request that is not.
func TestBucketRefusesWhatIsNotTLS(t *testing.T) {
	t.Parallel()
	var bucket, policy string
	o := play(t, infra.Template, rehearsal.Config{Devices: 1, Seed: 7}, false,
		func(ctx context.Context, s stage) error {
			var err error
			if bucket, err = s.physical(ctx, "FirmwareBucket"); err != nil {
				return err
			}
			if _, err := s.physical(ctx, "FirmwareBucketPolicy"); err != nil {
				return err
			}
			var out struct{ Policy string }
			if err := s.call(ctx, "s3", "GetBucketPolicy", map[string]string{"Bucket": bucket}, &out); err != nil {
				return err
			}
			policy = out.Policy
			return nil
		})
	if o.err != nil || policy == "" {
		t.Fatalf("%v\n%s\npolicy %q", o.err, o.all(), policy)
	}
	var given iam.Config
	given.Scheduler, given.Store, given.Account, given.Region = scheduler.NewVirtual(1, s0), store.Memory(),
		account, region
	judge := iam.New(given)
	ask := func(secure string) error {
		return judge.Authorize(t.Context(), awsapi.Request{
			Identity: awsapi.RootOf(account), Action: "s3:GetObject", Resource: "arn:aws:s3:::" + bucket +
				"/2.0.0/gateway.bin",
			ResourcePolicy: policy, Conditions: map[string][]string{"aws:SecureTransport": {secure}},
		})
	}
	if err := ask("true"); err != nil {
		t.Errorf("over TLS: %v", err)
	}
	if err := ask("false"); awsapi.Code(err) != "AccessDeniedException" ||
		!strings.Contains(err.Error(), "explicit deny in a resource-based policy") {
		t.Errorf("without TLS: %v", err)
	}
}
