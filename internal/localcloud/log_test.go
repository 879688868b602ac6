package localcloud_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/fleetstep/fleetstep/internal/localcloud"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// logged is what a cloud has logged.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// TestTheLogHasNoCredentials: whatever becomes of a request, what it was signed with is not in the log, at any level.
func TestTheLogHasNoCredentials(t *testing.T) {
	log := new(logged)
	r := &rig{t: t, sched: scheduler.NewVirtual(1, time.Date(2026, 1, 5, 8, 0, 0, 0, time.UTC))}
	var err error
	if r.cloud, err = localcloud.New(localcloud.Config{
		Scheduler: r.sched, Store: store.Memory(), Account: account, Region: "us-east-1",
		Endpoint: "http://cloud.test", MQTTEndpoint: "broker.test",
		Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}); err != nil {
		t.Fatal(err)
	}
	if err := r.cloud.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.must("iam", "CreateUser", map[string]any{"UserName": "ann"})
	r.must("iam", "PutUserPolicy", map[string]any{"UserName": "ann", "PolicyName": "all", "PolicyDocument": `{` +
		`"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`})
	made := r.must("iam", "CreateAccessKey", map[string]any{"UserName": "ann"})["AccessKey"].(map[string]any)
	key := aws.Credentials{AccessKeyID: made["AccessKeyId"].(string),
		SecretAccessKey: made["SecretAccessKey"].(string)}
	signature := ""
	send := func(key aws.Credentials, service, query, body string, want int) {
		t.Helper()
		q, err := http.NewRequestWithContext(t.Context(), "POST", "http://cloud.test/"+query, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		sum := sha256.Sum256([]byte(body))
		if err := v4.NewSigner().SignHTTP(t.Context(), key, q, hex.EncodeToString(sum[:]), service, "us-east-1",
			r.sched.Now()); err != nil {
			t.Fatal(err)
		}
		_, signature, _ = strings.Cut(q.Header.Get("Authorization"), "Signature=")
		w := httptest.NewRecorder()
		r.cloud.Handler().ServeHTTP(w, q)
		if w.Code != want {
			t.Errorf("%s %.60s: %d %s, want %d", service, body, w.Code, w.Body, want)
		}
	}
	wrong := key
	wrong.SecretAccessKey += "x"
	send(wrong, "sns", "", "Action=ListTopics&Version=2010-03-31", http.StatusForbidden)
	send(key, "sns", "", "Action=ListTopics&Version=1", http.StatusBadRequest)
	// The stack fails, which is logged: its topic may not have this name.
	send(key, "cloudformation", "", "Action=CreateStack&Version=2010-05-15&StackName=fails&TemplateBody="+
		url.QueryEscape(`{"Resources":{"T":{"Type":"AWS::SNS::Topic","Properties":{"TopicName":"a b"}}}}`), http.StatusOK)
	r.sched.RunFor(time.Minute)
	text := log.String()
	if !strings.Contains(text, "a stack operation failed") {
		t.Errorf("the failure is not in the log:\n%s", text)
	}
	for what, secret := range map[string]string{"the key id": key.AccessKeyID, "the secret": key.SecretAccessKey,
		"the signature": signature} {
		if secret == "" || strings.Contains(text, secret) {
			t.Errorf("%s %q is in the log:\n%s", what, secret, text)
		}
	}
}
