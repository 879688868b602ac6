package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud"
)

// TestConformancePageCountsOperations holds docs/conformance.md to the services.
func TestConformancePageCountsOperations(t *testing.T) {
	page, err := os.ReadFile(filepath.FromSlash("../../docs/conformance.md"))
	if err != nil {
		t.Fatal(err)
	}
	cloud, err := localcloud.New(localcloud.Config{
		Scheduler: localcloud.NewVirtual(1, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)),
		Store:     localcloud.NewMemoryStore(), Account: "123456789012", Region: "us-east-1",
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{
		"cloudformation", "cloudwatch", "cloudwatchlogs", "dynamodb", "iam", "iot", "iotdataplane", "iotjobsdataplane",
		"lambda", "s3", "scheduler", "sfn", "sns", "sqs", "sts",
	} {
		s := cloud.Door().Lookup(id)
		if s == nil {
			t.Errorf("there is no service %s", id)
			continue
		}
		want := fmt.Sprintf("%d / %d", len(s.Operations), len(s.Unbuilt))
		row := regexp.MustCompile("(?m)^\\| `" + id + "`[^|]*\\| ([0-9]+ / [0-9]+)").FindSubmatch(page)
		if row == nil || string(row[1]) != want {
			t.Errorf("docs/conformance.md, %s: got %q, want %q", id, row, want)
		}
	}
}
