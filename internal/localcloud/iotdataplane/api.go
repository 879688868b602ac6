package iotdataplane

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// API is the service "iotdata" as the wire sees it.
func (s *Service) API() awsapi.Service {
	return awsapi.Service{
		Fault:     awsapi.Word{Code: "InternalFailureException", Status: 500},
		Throttled: awsapi.Word{Code: "ThrottlingException", Status: 429},
		ID:        "iotdataplane", Signing: "iotdata", Prefix: "iot", Protocols: []awsapi.Protocol{awsapi.RESTJSON},
		DeniedCode: "ForbiddenException",
		Operations: []awsapi.Operation{
			awsapi.Op("Publish", s.apiPublish, awsapi.REST("POST", "/topics/{topic+}"),
				awsapi.On(func(c *awsapi.Call, in *publishInput) []string {
					return []string{c.ARN("iot", "topic/"+in.Topic)}
				})),
			awsapi.Op("GetRetainedMessage", s.apiGetRetained, awsapi.REST("GET", "/retainedMessage/{topic+}"),
				awsapi.On(func(c *awsapi.Call, in *getRetainedInput) []string {
					return []string{c.ARN("iot", "topic/"+in.Topic)}
				})),
			awsapi.Op("ListRetainedMessages", s.apiListRetained, awsapi.REST("GET", "/retainedMessage")),
			awsapi.Op("DeleteConnection", s.apiDeleteConnection, awsapi.REST("DELETE", "/connections/{clientId}"),
				awsapi.On(func(c *awsapi.Call, in *deleteConnectionInput) []string {
					return []string{c.ARN("iot", "client/"+in.ClientID)}
				})),
		},
		Unbuilt: []string{"DeleteThingShadow", "GetThingShadow", "ListNamedShadowsForThing", "UpdateThingShadow"},
	}
}

type publishInput struct {
	Topic                  string `json:"topic" uri:"topic"`
	QoS                    int    `json:"qos" query:"qos" api:"min=0,max=1"`
	Retain                 bool   `json:"retain" query:"retain"`
	Payload                []byte `json:"payload" payload:"raw"`
	UserProperties         string `json:"userProperties" header:"x-amz-mqtt5-user-properties"`
	PayloadFormatIndicator string `json:"payloadFormatIndicator" header:"x-amz-mqtt5-payload-format-indicator"`
	ContentType            string `json:"contentType" query:"contentType"`
	ResponseTopic          string `json:"responseTopic" query:"responseTopic"`
	CorrelationData        string `json:"correlationData" header:"x-amz-mqtt5-correlation-data"`
	MessageExpiry          int64  `json:"messageExpiry" query:"messageExpiry"`
}

type empty struct{}

func (s *Service) apiPublish(ctx context.Context, c *awsapi.Call, in *publishInput) (*empty, error) {
	if in.QoS < 0 || in.QoS > 1 {
		return nil, invalidRequest("qos must be 0 or 1")
	}
	m := Message{
		Topic: in.Topic, Payload: in.Payload, QoS: byte(in.QoS), Retain: in.Retain,
		ContentType: in.ContentType, ResponseTopic: in.ResponseTopic,
		Principal: c.Identity.UserID, SourceIP: c.SourceIP,
	}
	switch in.PayloadFormatIndicator {
	case "", "UNSPECIFIED_BYTES":
	case "UTF8_DATA":
		m.PayloadFormat = 1
	default:
		return nil, invalidRequest("payloadFormatIndicator must be UNSPECIFIED_BYTES or UTF8_DATA")
	}
	if in.CorrelationData != "" {
		b, err := base64.StdEncoding.DecodeString(in.CorrelationData)
		if err != nil {
			return nil, invalidRequest("correlationData is not base64")
		}
		m.CorrelationData = b
	}
	var err error
	if m.UserProperties, err = userProperties(in.UserProperties); err != nil {
		return nil, invalidRequest("userProperties: " + err.Error())
	}
	if in.MessageExpiry < 0 {
		return nil, invalidRequest("messageExpiry must not be negative")
	}
	const week = 7 * 24 * 3600
	m.MessageExpiry = uint32(min(in.MessageExpiry, week))
	if in.Retain {
		if err := c.Authorize(ctx, "iot:RetainPublish", c.ARN("iot", "topic/"+in.Topic), nil); err != nil {
			return nil, err
		}
	}
	if kindOf(in.Topic) == closed {
		return nil, awsapi.Errorf("ForbiddenException", "The topic %s is reserved", in.Topic).WithStatus(403)
	}
	if err := s.Publish(ctx, m); err != nil {
		if r, ok := errors.AsType[*Refusal](err); ok {
			if r.Code == RefusedTooLarge {
				return nil, awsapi.Errorf("RequestEntityTooLargeException", "%s", r.Message).WithStatus(413)
			}
			return nil, invalidRequest(r.Message)
		}
		return nil, err
	}
	return &empty{}, nil
}

// userProperties reads a JSON array of objects of one pair each, which a
// header carries in base64.
func userProperties(text string) ([][2]string, error) {
	if text == "" {
		return nil, nil
	}
	if b, err := base64.StdEncoding.DecodeString(text); err == nil {
		text = string(b)
	}
	var list []map[string]string
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, errors.New("not a JSON array of objects with text values")
	}
	var out [][2]string
	for _, pairs := range list {
		for _, k := range sortedKeys(pairs) {
			out = append(out, [2]string{k, pairs[k]})
		}
	}
	return out, nil
}

type getRetainedInput struct {
	Topic string `json:"topic" uri:"topic"`
}

type getRetainedOutput struct {
	Topic            string `json:"topic"`
	Payload          []byte `json:"payload"`
	QoS              int    `json:"qos"`
	LastModifiedTime int64  `json:"lastModifiedTime"`
	UserProperties   []byte `json:"userProperties,omitempty"`
}

func (s *Service) apiGetRetained(_ context.Context, _ *awsapi.Call, in *getRetainedInput) (*getRetainedOutput, error) {
	var r retainedRecord
	var ok bool
	if err := s.Store.View(func(tx *store.Tx) (err error) {
		r, ok, err = retainedTable.Get(tx, in.Topic)
		return err
	}); err != nil {
		return nil, err
	}
	if !ok || s.expired(r) {
		return nil, notFound("No retained message found for topic " + in.Topic)
	}
	out := &getRetainedOutput{
		Topic: in.Topic, Payload: r.Message.Payload, QoS: int(r.Message.QoS),
		LastModifiedTime: r.LastModified.UnixMilli(),
	}
	if len(r.Message.UserProperties) > 0 {
		var list []map[string]string
		for _, p := range r.Message.UserProperties {
			list = append(list, map[string]string{p[0]: p[1]})
		}
		b, err := json.Marshal(list)
		if err != nil {
			return nil, err
		}
		out.UserProperties = b
	}
	return out, nil
}

func (s *Service) expired(r retainedRecord) bool {
	_, alive := r.Message.withRemainingExpiry(s.Scheduler.Now())
	return !alive
}

type listRetainedInput struct {
	NextToken  string `json:"nextToken" query:"nextToken"`
	MaxResults *int   `json:"maxResults" query:"maxResults" api:"min=1,max=200"`
}

type listRetainedOutput struct {
	RetainedTopics []retainedSummary `json:"retainedTopics"`
	NextToken      string            `json:"nextToken,omitempty"`
}

type retainedSummary struct {
	Topic            string `json:"topic"`
	PayloadSize      int    `json:"payloadSize"`
	QoS              int    `json:"qos"`
	LastModifiedTime int64  `json:"lastModifiedTime"`
}

func (s *Service) apiListRetained(_ context.Context, _ *awsapi.Call,
	in *listRetainedInput) (*listRetainedOutput, error) {
	limit := awsapi.PageSize(in.MaxResults, 200, 200)
	after, ok := awsapi.PageAfter(in.NextToken, 1)
	if !ok {
		return nil, invalidRequest("nextToken is not one of ours")
	}
	q := store.Query{After: after}
	out := &listRetainedOutput{RetainedTopics: []retainedSummary{}}
	err := s.Store.View(func(tx *store.Tx) error {
		for row, err := range retainedTable.Scan(tx, q) {
			if err != nil {
				return err
			}
			if s.expired(row.Value) {
				continue
			}
			if len(out.RetainedTopics) == limit {
				out.NextToken = awsapi.PageToken(out.RetainedTopics[limit-1].Topic)
				return nil
			}
			out.RetainedTopics = append(out.RetainedTopics, retainedSummary{
				Topic: row.Key[0], PayloadSize: len(row.Value.Message.Payload),
				QoS: int(row.Value.Message.QoS), LastModifiedTime: row.Value.LastModified.UnixMilli(),
			})
		}
		return nil
	})
	return out, err
}

type deleteConnectionInput struct {
	ClientID           string `json:"clientId" uri:"clientId" api:"min=1,max=128,pattern=client id"`
	CleanSession       bool   `json:"cleanSession" query:"cleanSession"`
	PreventWillMessage bool   `json:"preventWillMessage" query:"preventWillMessage"`
}

func (s *Service) apiDeleteConnection(ctx context.Context, _ *awsapi.Call, in *deleteConnectionInput) (*empty, error) {
	s.mu.Lock()
	sess := s.sessions[in.ClientID]
	var conn *Connection
	if sess != nil {
		conn = sess.conn
	}
	s.mu.Unlock()
	if conn == nil {
		return nil, notFound("No connection for client " + in.ClientID)
	}
	if in.PreventWillMessage {
		conn.mu.Lock()
		conn.will = nil
		conn.mu.Unlock()
	}
	if in.CleanSession {
		conn.SetSessionExpiry(0)
	}
	conn.Disconnect(ctx, ReasonAPIInitiated)
	return &empty{}, nil
}
