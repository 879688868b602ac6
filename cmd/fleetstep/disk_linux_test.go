package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
)

// TestFullDisk fills a small disk under a real cloud: with --min-free it refuses
// in time, says so, and goes on when there is room; without, it ends at once and
// says what to do, and the next start finds what was acknowledged.
func TestFullDisk(t *testing.T) {
	if os.Getenv("FLEETSTEP_DISK") != "tmpfs" {
		t.Skip("needs a mount: make test-disk")
	}
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=96m"); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := syscall.Unmount(disk, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	}()
	ballast, dir := filepath.Join(disk, "ballast"), filepath.Join(disk, "data")
	fill := func(n int) {
		if err := os.WriteFile(ballast, make([]byte, n), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	fill(16 << 20)
	p := startCloud(t, "--data-dir", dir, "--min-free", "24MiB")
	_, err := p.db.CreateTable(t.Context(),
		&dynamodb.CreateTableInput{TableName: aws.String("table"), BillingMode: types.BillingModePayPerRequest,
			AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("k"),
				AttributeType: types.ScalarAttributeTypeS}},
			KeySchema: []types.KeySchemaElement{{AttributeName: aws.String("k"), KeyType: types.KeyTypeHash}}})
	if err != nil {
		t.Fatal(err)
	}
	const size = 300 << 10
	n := 0
	acknowledged, refused := map[string]bool{}, map[string]bool{}
	for ; ; n++ {
		if err = p.put(t.Context(), n, size); err != nil {
			break
		}
		acknowledged[fmt.Sprint(n)] = true
		if n > 1000 {
			t.Fatal("the disk does not fill")
		}
	}
	refused[fmt.Sprint(n)] = true
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != "ThrottlingException" {
		t.Fatalf("after %d items: %v, want ThrottlingException", n, err)
	}
	r, err := http.Get(p.where.Endpoint + "/_localcloud/health")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(r.Body)
	if err = errors.Join(err, r.Body.Close()); err != nil || r.StatusCode != 503 ||
		!strings.Contains(string(body), "new work is refused") {
		t.Errorf("health: %v %d %s", err, r.StatusCode, body)
	}
	if got := p.items(t); len(got) != len(acknowledged) {
		t.Errorf("%d items can be read of %d", len(got), len(acknowledged))
	}
	fill(0)
	n++
	if err := p.put(t.Context(), n, 10); err != nil {
		t.Errorf("with room again: %v", err)
	}
	acknowledged[fmt.Sprint(n)] = true
	if err := errors.Join(p.cmd.Process.Signal(os.Interrupt), p.cmd.Wait()); err != nil {
		t.Fatalf("%v: %s", err, p.said)
	}

	p = startCloud(t, "--data-dir", dir, "--min-free", "0")
	for n++; ; n++ {
		if err = p.put(t.Context(), n, size); err != nil {
			break
		}
		acknowledged[fmt.Sprint(n)] = true
		if n > 2000 {
			t.Fatal("the disk does not fill")
		}
	}
	if errors.As(err, &api) {
		refused[fmt.Sprint(n)] = true
		t.Errorf("the write that met the end was answered: %v", err)
	}
	var exit *exec.ExitError
	if err := p.cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("it ended with %v", err)
	}
	if s := p.said.String(); strings.Count(strings.TrimSpace(s), "\n") > 0 ||
		!strings.Contains(s, "no space left on device") ||
		!strings.Contains(s, "Free some space on that disk, then start again") {
		t.Errorf("it said %q", s)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", disk, "tmpfs", syscall.MS_REMOUNT, "size=256m"); err != nil {
		t.Fatal(err)
	}
	p = startCloud(t, "--data-dir", dir)
	there := p.items(t)
	for k := range acknowledged {
		if !there[k] {
			t.Errorf("item %s was acknowledged and is lost", k)
		}
	}
	for k := range refused {
		if there[k] {
			t.Errorf("item %s was refused and is there", k)
		}
	}
	if err := errors.Join(p.cmd.Process.Signal(os.Interrupt), p.cmd.Wait()); err != nil {
		t.Errorf("%v: %s", err, p.said)
	}
	t.Logf("%d items acknowledged over a full disk, all there", len(acknowledged))
}
