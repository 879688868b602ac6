package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// cloudProcess is a local cloud that is a process of its own.
type cloudProcess struct {
	cmd   *exec.Cmd
	said  *bytes.Buffer // its standard error
	where readyLine
	db    *dynamodb.Client
}

func startCloud(t *testing.T, args ...string) *cloudProcess {
	t.Helper()
	p := &cloudProcess{cmd: exec.CommandContext(t.Context(), "fleetstep",
		append([]string{"local", "--template", "none", "--port", "0", "--mqtt-port", "-1", "--mqtts-port", "-1"},
			args...)...), said: &bytes.Buffer{}}
	p.cmd.Stderr = p.said
	out, err := p.cmd.StdoutPipe()
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &p.where)
	}
	if err != nil {
		t.Fatalf("%v: %v: %s", err, p.cmd.Wait(), p.said)
	}
	p.db = dynamodb.New(dynamodb.Options{
		BaseEndpoint: &p.where.Endpoint, Region: "us-east-1",
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""), RetryMaxAttempts: 1,
	})
	return p
}

func (p *cloudProcess) put(ctx context.Context, n, size int) error {
	_, err := p.db.PutItem(ctx,
		&dynamodb.PutItemInput{TableName: aws.String("table"), Item: map[string]types.AttributeValue{
			"k": &types.AttributeValueMemberS{Value: fmt.Sprint(n)},
			"v": &types.AttributeValueMemberB{Value: noise(n, size)},
		}})
	return err
}

// noise does not compress.
func noise(seed, size int) []byte {
	b, x := make([]byte, size), uint32(seed)*2654435761+1
	for i := range b {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		b[i] = byte(x)
	}
	return b
}

func (p *cloudProcess) items(t *testing.T) map[string]bool {
	t.Helper()
	there := map[string]bool{}
	pages := dynamodb.NewScanPaginator(p.db,
		&dynamodb.ScanInput{TableName: aws.String("table"), ProjectionExpression: aws.String("k")})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range page.Items {
			there[i["k"].(*types.AttributeValueMemberS).Value] = true
		}
	}
	return there
}
