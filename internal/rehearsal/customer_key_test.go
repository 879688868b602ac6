package rehearsal

import (
	"context"
	"os"
	"strings"
	"testing"
)

// documented is the policy of a customer's key as docs/deploy.md has it, with a statement for its administrators.
func documented(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/deploy.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(text), "\n## Your own key\n")
	if !ok {
		t.Fatal("docs/deploy.md has no section \"Your own key\"")
	}
	var statements []string
	for line := range strings.Lines(section) {
		if strings.HasPrefix(line, "## ") {
			break
		}
		if strings.HasPrefix(line, "    ") {
			statements = append(statements, line)
		}
	}
	return strings.NewReplacer("<account>", "123456789012", "<region>", "us-east-1", "<partition>", "aws").Replace(
		`{"Version": "2012-10-17", "Statement": [{"Sid": "Administrators", "Effect": "Allow", "Resource": "*",
			"Principal": {"AWS": "arn:aws:iam::<account>:user/admin"}, "Action": "kms:*"},` +
			strings.Join(statements, "") + `]}`)
}

// underKey plays a job of a stack whose data is under a key with this policy.
func underKey(t *testing.T, policy string) (denied []string, err error) {
	t.Helper()
	given := map[string]string{}
	_, _, err = play(t, Config{
		Devices: 4, Seed: 1, Faults: "reboot-in-download@2,offline-at-start@3", with: given,
		opened: func(w *world) {
			var key struct {
				KeyMetadata struct {
					ARN string `json:"Arn"`
				}
			}
			in := map[string]any{"Policy": policy}
			if err := w.call(context.Background(), "kms", "CreateKey", in, &key); err != nil {
				t.Fatal(err)
			}
			given["KmsKeyArn"] = key.KeyMetadata.ARN
		},
		over: func(_ context.Context, w *world, _ string) error {
			denied = w.cloud.Denied()
			return nil
		},
	})
	return denied, err
}

// TestAStackUnderACustomersKey: the key policy of the docs is all that a job needs, and it needs it.
func TestAStackUnderACustomersKey(t *testing.T) {
	policy := documented(t)
	if denied, err := underKey(t, policy); err != nil || len(denied) > 0 {
		t.Errorf("under a key with the policy of docs/deploy.md: %v, denied %q", err, denied)
	}
	less := strings.Replace(policy, `"dynamodb.us-east-1.amazonaws.com",`, "", 1)
	if less == policy {
		t.Fatal("the policy does not name DynamoDB")
	}
	if _, err := underKey(t, less); err == nil || !strings.Contains(err.Error(), "KMS key access denied error") {
		t.Errorf("without DynamoDB in the key policy: %v", err)
	}
}
