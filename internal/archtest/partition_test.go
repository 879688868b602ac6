package archtest

import (
	"go/ast"
	"go/token"
	"strconv"
	"strings"
	"testing"
)

// product is what runs on AWS, or reaches it.
var product = []string{
	"internal/device/...", "internal/event", "internal/flow/...", "internal/functions/...", "internal/jobs/...",
	"internal/workflow/...", "internal/usp", "internal/provision", "internal/cli", "internal/trial",
	"internal/operation", "internal/payload", "lambdas/...", "infra/...", "statemachines",
}

// mayPartition are the files of the product that have an ARN of the partition aws, or a
// host of it, in a text, and why.
var mayPartition = map[string]string{
	"internal/jobs/request.go":     "an example in the text of a mistake",
	"internal/cli/job_create.go":   "an example in a command's help",
	"internal/operation/check.go":  "integrations as state machines name them; the stack puts its partition in",
	"infra/app/workflow.go":        "what the stack's partition replaces in a state machine",
	"infra/operation/operation.go": "what the stack's partition replaces in a state machine",
}

// TestNoPartitionIsMeant: accounts in China and GovCloud have ARNs of other partitions, and
// hosts of another suffix. Service principals are the same everywhere.
func TestNoPartitionIsMeant(t *testing.T) {
	tr := theTree(t)
	used := map[string]bool{}
	for _, f := range tr.files {
		if f.test || !anyMatches(product, f.pkg) {
			continue
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				return true
			}
			text, err := strconv.Unquote(lit.Value)
			if err != nil {
				t.Fatal(err)
			}
			principal, suffixed := strings.CutSuffix(text, ".amazonaws.com")
			host := strings.Contains(text, "amazonaws.com") && (!suffixed || strings.Contains(principal, "."))
			if !strings.Contains(text, "arn:aws:") && !host {
				return true
			}
			if used[f.name] = true; mayPartition[f.name] == "" {
				t.Errorf("%s names the partition aws: %q", tr.fset.Position(lit.Pos()), text)
			}
			return true
		})
	}
	for name, because := range mayPartition {
		if !used[name] {
			t.Errorf("table mayPartition: %s (%s) does not need its exception any more", name, because)
		}
	}
}
