package sfn

import (
	"encoding/json"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
)

// LoggingConfig says where a state machine logs.
type LoggingConfig struct {
	Level                string           `json:"level,omitempty" api:"values=ALL|ERROR|FATAL|OFF"`
	IncludeExecutionData bool             `json:"includeExecutionData"`
	Destinations         []LogDestination `json:"destinations,omitzero"`
}

// LogDestination is a log group.
type LogDestination struct {
	CloudWatchLogsLogGroup struct {
		LogGroupARN string `json:"logGroupArn,omitempty" api:"min=1,max=256"`
	} `json:"cloudWatchLogsLogGroup"`
}

// TracingConfig turns X-Ray on.
type TracingConfig struct {
	Enabled bool `json:"enabled"`
}

// EncryptionConf is kept and shown; data is not encrypted here.
type EncryptionConf struct {
	Type      string `json:"type" api:"required,values=AWS_OWNED_KEY|CUSTOMER_MANAGED_KMS_KEY"`
	KeyID     string `json:"kmsKeyId,omitempty" api:"min=1,max=2048"`
	DataReuse int    `json:"kmsDataKeyReusePeriodSeconds,omitempty" api:"min=60,max=900"`
}

// shownEncryption is a configuration as descriptions show it: that of AWS where there is none.
func shownEncryption(e *EncryptionConf) *EncryptionConf {
	if e == nil {
		return &EncryptionConf{Type: "AWS_OWNED_KEY"}
	}
	return e
}

// Tag is a tag.
type Tag struct {
	Key   string `json:"key" api:"required,min=1,max=128"`
	Value string `json:"value" api:"max=256"`
}

// maxTags is how many tags a resource may have.
const maxTags = 50

func tooManyTags() error { return awsapi.Errorf("TooManyTags", "Too many tags") }

// checkEncryption refuses a configuration that says less or more than it must.
func checkEncryption(e *EncryptionConf) error {
	refuse := func(what string) error {
		return awsapi.Errorf("InvalidEncryptionConfiguration", "Invalid Encryption Configuration: %s", what)
	}
	switch {
	case e == nil:
		return nil
	case e.Type == "AWS_OWNED_KEY":
		if e.KeyID != "" || e.DataReuse != 0 {
			return refuse("kmsKeyId and kmsDataKeyReusePeriodSeconds must not be set with the type AWS_OWNED_KEY.")
		}
	case e.KeyID == "":
		return refuse("kmsKeyId must be set with the type CUSTOMER_MANAGED_KMS_KEY.")
	}
	return nil
}

func sameConfig(a, b any) bool { return mustJSON(a) == mustJSON(b) }

func mustJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return "null"
	}
	return string(b)
}
