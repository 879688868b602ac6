package kms

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi/constraint"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// API returns the operations of KMS.
func (s *Service) API() awsapi.Service {
	onKey := func(in *keyIn) string { return in.KeyID }
	return awsapi.Service{
		Fault: awsapi.Word{Code: "KMSInternalException", Status: 500},
		ID:    "kms", Signing: "kms", Prefix: "kms", Target: "TrentService",
		Protocols:      []awsapi.Protocol{awsapi.JSON11},
		ResourcePolicy: s.resourcePolicy,
		Operations: []awsapi.Operation{
			awsapi.Op("CreateKey", s.createKey),
			awsapi.Op("DescribeKey", s.describeKey, on(s, onKey)...),
			awsapi.Op("ListKeys", s.listKeys),
			awsapi.Op("UpdateKeyDescription", s.updateDescription, on(s, func(in *descriptionIn) string {
				return in.KeyID
			})...),
			awsapi.Op("EnableKey", s.enableKey, on(s, onKey)...),
			awsapi.Op("DisableKey", s.disableKey, on(s, onKey)...),
			awsapi.Op("ScheduleKeyDeletion", s.scheduleDeletion, on(s, func(in *deletionIn) string {
				return in.KeyID
			})...),
			awsapi.Op("CancelKeyDeletion", s.cancelDeletion, on(s, onKey)...),
			awsapi.Op("GetKeyPolicy", s.getPolicy, on(s, func(in *policyIn) string { return in.KeyID })...),
			awsapi.Op("PutKeyPolicy", s.putPolicy, on(s, func(in *policyIn) string { return in.KeyID })...),
			awsapi.Op("ListKeyPolicies", s.listPolicies, on(s, onKey)...),
			awsapi.Op("EnableKeyRotation", s.enableRotation, on(s, func(in *rotationIn) string {
				return in.KeyID
			})...),
			awsapi.Op("DisableKeyRotation", s.disableRotation, on(s, onKey)...),
			awsapi.Op("GetKeyRotationStatus", s.rotationStatus, on(s, onKey)...),
			awsapi.Op("RotateKeyOnDemand", s.rotateNow, on(s, onKey)...),
			awsapi.Op("TagResource", s.tagResource, on(s, func(in *tagsIn) string { return in.KeyID })...),
			awsapi.Op("UntagResource", s.untagResource, on(s, func(in *tagsIn) string { return in.KeyID })...),
			awsapi.Op("ListResourceTags", s.listTags, on(s, onKey)...),

			awsapi.Op("CreateAlias", s.createAlias, awsapi.On(s.aliasAndKey)),
			awsapi.Op("UpdateAlias", s.updateAlias, awsapi.On(s.aliasAndKey)),
			awsapi.Op("DeleteAlias", s.deleteAlias, awsapi.On(s.aliasAndKey)),
			awsapi.Op("ListAliases", s.listAliases),

			awsapi.Op("Encrypt", s.encrypt, with(s, func(in *encryptIn) (string, map[string]string) {
				return s.target(in.KeyID), in.EncryptionContext
			})...),
			awsapi.Op("Decrypt", s.decrypt, with(s, func(in *decryptIn) (string, map[string]string) {
				return s.ciphertextKey(in), in.EncryptionContext
			})...),
			awsapi.Op("ReEncrypt", s.reEncrypt, awsapi.Action("-")),
			awsapi.Op("GenerateDataKey", s.dataKey, with(s, dataKeyOf(s))...),
			awsapi.Op("GenerateDataKeyWithoutPlaintext", s.dataKeyAlone, with(s, dataKeyOf(s))...),
			awsapi.Op("GenerateRandom", s.generateRandom),
			awsapi.Op("Sign", s.sign, on(s, func(in *signIn) string { return in.KeyID })...),
			awsapi.Op("Verify", s.verify, on(s, func(in *signIn) string { return in.KeyID })...),
			awsapi.Op("GetPublicKey", s.publicKey, on(s, onKey)...),
			awsapi.Op("GenerateMac", s.generateMac, on(s, func(in *macIn) string { return in.KeyID })...),
			awsapi.Op("VerifyMac", s.verifyMac, on(s, func(in *macIn) string { return in.KeyID })...),
		},
		Unbuilt: strings.Fields(`ConnectCustomKeyStore CreateCustomKeyStore CreateGrant DeleteCustomKeyStore DeleteImportedKeyMaterial
			DeriveSharedSecret DescribeCustomKeyStores DisconnectCustomKeyStore GenerateDataKeyPair GenerateDataKeyPairWithoutPlaintext
			GetParametersForImport ImportKeyMaterial ListGrants ListKeyRotations ListRetirableGrants ReplicateKey RetireGrant RevokeGrant
			UpdateCustomKeyStore UpdatePrimaryRegion`),
	}
}

// on says which key an operation touches.
func on[In any](s *Service, name func(in *In) string) []awsapi.Option {
	return with(s, func(in *In) (string, map[string]string) { return s.target(name(in)), nil })
}

// with says which key an operation touches, by ARN, in which encryption context.
func with[In any](_ *Service, of func(in *In) (arn string, context map[string]string)) []awsapi.Option {
	return []awsapi.Option{
		awsapi.On(func(_ *awsapi.Call, in *In) []string { arn, _ := of(in); return []string{arn} }),
		awsapi.Conditions(func(c *awsapi.Call, in *In) map[string][]string {
			_, context := of(in)
			return conditions(c, context)
		}),
	}
}

func dataKeyOf(s *Service) func(in *dataKeyIn) (string, map[string]string) {
	return func(in *dataKeyIn) (string, map[string]string) { return s.target(in.KeyID), in.EncryptionContext }
}

// conditions are the condition keys of KMS.
func conditions(c *awsapi.Call, context map[string]string) map[string][]string {
	values := map[string][]string{"kms:CallerAccount": {c.Identity.Account}}
	if c.Identity.Via != "" {
		values["kms:ViaService"] = []string{c.Identity.Via}
	}
	for _, k := range slices.Sorted(maps.Keys(context)) {
		values["kms:EncryptionContext:"+k] = []string{context[k]}
		values["kms:EncryptionContextKeys"] = append(values["kms:EncryptionContextKeys"], k)
	}
	return values
}

func (s *Service) aliasAndKey(_ *awsapi.Call, in *aliasIn) []string {
	list := []string{s.arn(in.AliasName)}
	name := in.TargetKeyID
	if name == "" {
		name = in.AliasName
	}
	return append(list, s.target(name))
}

// Wire shapes.
type (
	none struct{}
	tag  struct {
		TagKey   string `json:"TagKey" api:"min=1,max=128"`
		TagValue string `json:"TagValue" api:"max=256"`
	}
	createKeyIn struct {
		Policy                string `json:"Policy" api:"min=1,max=131072,pattern=latin text"`
		Description           string `json:"Description" api:"max=8192"`
		KeyUsage              string `json:"KeyUsage" api:"values=ENCRYPT_DECRYPT|GENERATE_VERIFY_MAC|KEY_AGREEMENT|SIGN_VERIFY"`
		KeySpec               string `json:"KeySpec" api:"set=key specs"`
		CustomerMasterKeySpec string `json:"CustomerMasterKeySpec" api:"set=master key specs"`
		Origin                string `json:"Origin" api:"values=AWS_CLOUDHSM|AWS_KMS|EXTERNAL|EXTERNAL_KEY_STORE"`
		MultiRegion           bool   `json:"MultiRegion"`
		CustomKeyStoreID      string `json:"CustomKeyStoreId" api:"min=1,max=64"`
		Tags                  []tag  `json:"Tags"`
		Bypass                bool   `json:"BypassPolicyLockoutSafetyCheck"`
	}
	metadata struct {
		AWSAccountID          string       `json:"AWSAccountId"`
		KeyID                 string       `json:"KeyId"`
		Arn                   string       `json:"Arn"`
		CreationDate          awsapi.Time  `json:"CreationDate"`
		Enabled               bool         `json:"Enabled"`
		Description           string       `json:"Description"`
		KeyUsage              string       `json:"KeyUsage"`
		KeyState              string       `json:"KeyState"`
		DeletionDate          *awsapi.Time `json:"DeletionDate,omitempty"`
		Origin                string       `json:"Origin"`
		KeyManager            string       `json:"KeyManager"`
		CustomerMasterKeySpec string       `json:"CustomerMasterKeySpec"`
		KeySpec               string       `json:"KeySpec"`
		EncryptionAlgorithms  []string     `json:"EncryptionAlgorithms,omitempty"`
		SigningAlgorithms     []string     `json:"SigningAlgorithms,omitempty"`
		MacAlgorithms         []string     `json:"MacAlgorithms,omitempty"`
		MultiRegion           bool         `json:"MultiRegion"`
	}
	keyOut struct {
		KeyMetadata metadata `json:"KeyMetadata"`
	}
	keyIn struct {
		KeyID       string   `json:"KeyId" api:"min=1,max=2048"`
		GrantTokens []string `json:"GrantTokens" api:"max=10,each.min=1,each.max=8192"`
		Limit       *int     `json:"Limit" api:"min=1,max=1000"`
		Marker      string   `json:"Marker" api:"min=1,max=1024"`
	}
	listIn struct {
		KeyID  string `json:"KeyId" api:"min=1,max=2048"`
		Limit  *int   `json:"Limit" api:"min=1,max=1000"`
		Marker string `json:"Marker" api:"min=1,max=1024"`
	}
	listedKey struct {
		KeyID  string `json:"KeyId"`
		KeyArn string `json:"KeyArn"`
	}
	listKeysOut struct {
		Keys       []listedKey `json:"Keys"`
		NextMarker string      `json:"NextMarker,omitempty"`
		Truncated  bool        `json:"Truncated"`
	}
	descriptionIn struct {
		KeyID       string `json:"KeyId" api:"min=1,max=2048"`
		Description string `json:"Description" api:"max=8192"`
	}
	deletionIn struct {
		KeyID               string `json:"KeyId" api:"min=1,max=2048"`
		PendingWindowInDays *int   `json:"PendingWindowInDays" api:"min=1,max=365"`
	}
	deletionOut struct {
		KeyID               string      `json:"KeyId"`
		DeletionDate        awsapi.Time `json:"DeletionDate"`
		KeyState            string      `json:"KeyState"`
		PendingWindowInDays int         `json:"PendingWindowInDays"`
	}
	keyIDOut struct {
		KeyID string `json:"KeyId"`
	}
	policyIn struct {
		KeyID      string `json:"KeyId" api:"min=1,max=2048"`
		PolicyName string `json:"PolicyName" api:"min=1,max=128,pattern=word"`
		Policy     string `json:"Policy" api:"min=1,max=131072,pattern=latin text"`
		Bypass     bool   `json:"BypassPolicyLockoutSafetyCheck"`
	}
	policyOut struct {
		Policy     string `json:"Policy"`
		PolicyName string `json:"PolicyName"`
	}
	policiesOut struct {
		PolicyNames []string `json:"PolicyNames"`
		Truncated   bool     `json:"Truncated"`
	}
	rotationIn struct {
		KeyID                string `json:"KeyId" api:"min=1,max=2048"`
		RotationPeriodInDays *int   `json:"RotationPeriodInDays" api:"min=90,max=2560"`
	}
	rotationOut struct {
		KeyID                string       `json:"KeyId"`
		KeyRotationEnabled   bool         `json:"KeyRotationEnabled"`
		RotationPeriodInDays int          `json:"RotationPeriodInDays,omitempty"`
		NextRotationDate     *awsapi.Time `json:"NextRotationDate,omitempty"`
	}
	tagsIn struct {
		KeyID   string   `json:"KeyId" api:"min=1,max=2048"`
		Tags    []tag    `json:"Tags"`
		TagKeys []string `json:"TagKeys" api:"each.min=1,each.max=128"`
	}
	tagsOut struct {
		Tags      []tag `json:"Tags"`
		Truncated bool  `json:"Truncated"`
	}
	aliasIn struct {
		AliasName   string `json:"AliasName" api:"min=1,max=256,pattern=alias name"`
		TargetKeyID string `json:"TargetKeyId" api:"min=1,max=2048"`
	}
	listedAlias struct {
		AliasName       string      `json:"AliasName"`
		AliasArn        string      `json:"AliasArn"`
		TargetKeyID     string      `json:"TargetKeyId"`
		CreationDate    awsapi.Time `json:"CreationDate"`
		LastUpdatedDate awsapi.Time `json:"LastUpdatedDate"`
	}
	listAliasesOut struct {
		Aliases    []listedAlias `json:"Aliases"`
		NextMarker string        `json:"NextMarker,omitempty"`
		Truncated  bool          `json:"Truncated"`
	}
)

func (s *Service) metadata(k key) metadata {
	m := metadata{
		AWSAccountID: s.config.Account, KeyID: k.ID, Arn: s.keyARN(k.ID), CreationDate: awsapi.Time{Time: k.Created},
		Enabled: k.Enabled && k.Deletion.IsZero(), Description: k.Description, KeyUsage: k.Usage, KeyState: "Enabled",
		DeletionDate: awsapi.TimeOf(k.Deletion), Origin: "AWS_KMS", KeyManager: k.Manager,
		CustomerMasterKeySpec: k.Spec, KeySpec: k.Spec,
	}
	if !k.Enabled {
		m.KeyState = "Disabled"
	}
	if !k.Deletion.IsZero() {
		m.KeyState = "PendingDeletion"
	}
	m.EncryptionAlgorithms, m.SigningAlgorithms, m.MacAlgorithms = k.algorithms()
	return m
}

func (s *Service) createKey(ctx context.Context, c *awsapi.Call, in *createKeyIn) (*keyOut, error) {
	spec := in.KeySpec
	if spec == "" {
		spec = in.CustomerMasterKeySpec
	}
	if spec == "" {
		spec = symmetric
	}
	allowed, known := usages[spec]
	switch {
	case in.Origin != "" && in.Origin != "AWS_KMS":
		return nil, awsapi.NotBuilt("KMS keys of the origin " + in.Origin)
	case in.MultiRegion:
		return nil, awsapi.NotBuilt("multi-Region KMS keys")
	case in.CustomKeyStoreID != "":
		return nil, awsapi.NotBuilt("custom key stores of KMS")
	case !known:
		return nil, awsapi.NotBuilt("KMS keys of the spec " + spec)
	}
	usage := in.KeyUsage
	if usage == "" {
		if usage = allowed[0]; usage == "" || usage != "ENCRYPT_DECRYPT" {
			return nil, invalid("You must specify a KeyUsage value for all KMS keys except for symmetric " +
				"encryption keys.")
		}
	}
	if !slices.Contains(allowed, usage) {
		return nil, invalid("KeyUsage %s is not compatible with KeySpec %s", usage, spec)
	}
	k := key{
		ID: s.config.Scheduler.UUID(), Description: in.Description, Usage: usage, Spec: spec, Manager: "CUSTOMER",
		Policy: in.Policy, Enabled: true,
		Created: s.config.Scheduler.Now(), Tags: map[string]string{},
	}
	if k.Policy == "" {
		k.Policy = s.defaultPolicy()
	}
	if err := checkPolicy(k.Policy); err != nil {
		return nil, err
	}
	for _, t := range in.Tags {
		k.Tags[t.TagKey] = t.TagValue
	}
	if len(k.Tags) > 0 {
		if err := c.Authorize(ctx, "kms:TagResource", "*", nil); err != nil {
			return nil, err
		}
	}
	var err error
	if k.Backing, err = s.material(spec); err != nil {
		return nil, err
	}
	if err := s.config.Store.Update(func(tx *store.Tx) error { return keys.Put(tx, k, k.ID) }); err != nil {
		return nil, err
	}
	s.own.Store(true)
	return &keyOut{s.metadata(k)}, nil
}

func (s *Service) describeKey(_ context.Context, _ *awsapi.Call, in *keyIn) (*keyOut, error) {
	k, err := s.load(in.KeyID)
	if err != nil {
		return nil, err
	}
	return &keyOut{s.metadata(k)}, nil
}

// errMarker is for a marker that no list returned. Source: API reference, ListKeys (2026-11).
var errMarker = awsapi.Errorf("InvalidMarkerException", "Could not deserialize marker")

func (s *Service) listKeys(_ context.Context, _ *awsapi.Call, in *listIn) (*listKeysOut, error) {
	out := &listKeysOut{Keys: []listedKey{}}
	q := store.Query{}
	var ok bool
	if q.After, ok = awsapi.PageAfter(in.Marker, 1); !ok {
		return nil, errMarker
	}
	now := s.config.Scheduler.Now()
	return out, s.config.Store.View(func(tx *store.Tx) error {
		for row, err := range keys.Scan(tx, q) {
			if err != nil {
				return err
			}
			k := row.Value
			if !k.Deletion.IsZero() && !now.Before(k.Deletion) {
				continue
			}
			if len(out.Keys) == awsapi.PageSize(in.Limit, 100, 1000) {
				out.Truncated, out.NextMarker = true, awsapi.PageToken(out.Keys[len(out.Keys)-1].KeyID)
				return nil
			}
			out.Keys = append(out.Keys, listedKey{k.ID, s.keyARN(k.ID)})
		}
		return nil
	})
}

func (s *Service) updateDescription(_ context.Context, _ *awsapi.Call, in *descriptionIn) (*none, error) {
	_, err := s.change(in.KeyID, func(k *key) error { k.Description = in.Description; return nil })
	return &none{}, err
}

func (s *Service) setEnabled(name string, enabled bool) (*none, error) {
	_, err := s.change(name, func(k *key) error {
		if !k.Deletion.IsZero() {
			return pending(s.keyARN(k.ID))
		}
		k.Enabled = enabled
		return nil
	})
	return &none{}, err
}

func (s *Service) enableKey(_ context.Context, _ *awsapi.Call, in *keyIn) (*none, error) {
	return s.setEnabled(in.KeyID, true)
}

func (s *Service) disableKey(_ context.Context, _ *awsapi.Call, in *keyIn) (*none, error) {
	return s.setEnabled(in.KeyID, false)
}

func (s *Service) scheduleDeletion(_ context.Context, _ *awsapi.Call, in *deletionIn) (*deletionOut, error) {
	days := 30
	if in.PendingWindowInDays != nil {
		days = *in.PendingWindowInDays
	}
	if days < 7 || days > 30 {
		return nil, invalid("1 validation error detected: Value '%d' at 'pendingWindowInDays' failed to satisfy "+
			"constraint: Member must be between 7 and 30", days)
	}
	k, err := s.change(in.KeyID, func(k *key) error {
		if !k.Deletion.IsZero() {
			return pending(s.keyARN(k.ID))
		}
		k.Deletion, k.Enabled = s.config.Scheduler.Now().AddDate(0, 0, days), false
		return nil
	})
	return &deletionOut{s.keyARN(k.ID), awsapi.Time{Time: k.Deletion}, "PendingDeletion", days}, err
}

func (s *Service) cancelDeletion(_ context.Context, _ *awsapi.Call, in *keyIn) (*keyIDOut, error) {
	k, err := s.change(in.KeyID, func(k *key) error {
		if k.Deletion.IsZero() {
			return awsapi.Errorf("KMSInvalidStateException", "%s is not pending deletion.", s.keyARN(k.ID))
		}
		k.Deletion, k.Enabled = key{}.Deletion, false
		return nil
	})
	return &keyIDOut{s.keyARN(k.ID)}, err
}

func checkPolicyName(name string) error {
	if name != "" && name != "default" {
		return awsapi.Errorf("NotFoundException", "No such policy exists")
	}
	return nil
}

func (s *Service) getPolicy(_ context.Context, _ *awsapi.Call, in *policyIn) (*policyOut, error) {
	if err := checkPolicyName(in.PolicyName); err != nil {
		return nil, err
	}
	k, err := s.load(in.KeyID)
	return &policyOut{k.Policy, "default"}, err
}

func (s *Service) putPolicy(_ context.Context, _ *awsapi.Call, in *policyIn) (*none, error) {
	if err := checkPolicyName(in.PolicyName); err != nil {
		return nil, err
	}
	if err := checkPolicy(in.Policy); err != nil {
		return nil, err
	}
	_, err := s.change(in.KeyID, func(k *key) error { k.Policy = in.Policy; return nil })
	return &none{}, err
}

func (s *Service) listPolicies(_ context.Context, _ *awsapi.Call, in *keyIn) (*policiesOut, error) {
	_, err := s.load(in.KeyID)
	return &policiesOut{PolicyNames: []string{"default"}}, err
}

// rotating refuses keys that cannot rotate.
func (s *Service) rotating(k *key) error {
	if k.Spec != symmetric {
		return awsapi.Errorf("UnsupportedOperationException", "%s is not a symmetric encryption key", s.keyARN(k.ID))
	}
	return s.usable(*k)
}

func (s *Service) enableRotation(_ context.Context, _ *awsapi.Call, in *rotationIn) (*none, error) {
	days := 365
	if in.RotationPeriodInDays != nil {
		days = *in.RotationPeriodInDays
	}
	if days < 90 || days > 2560 {
		return nil, invalid("1 validation error detected: Value '%d' at 'rotationPeriodInDays' failed to satisfy "+
			"constraint: Member must be between 90 and 2560", days)
	}
	_, err := s.change(in.KeyID, func(k *key) error {
		if err := s.rotating(k); err != nil {
			return err
		}
		if !k.Rotation {
			k.RotationSince = s.config.Scheduler.Now()
		}
		k.Rotation, k.RotationDays = true, days
		return nil
	})
	return &none{}, err
}

func (s *Service) disableRotation(_ context.Context, _ *awsapi.Call, in *keyIn) (*none, error) {
	_, err := s.change(in.KeyID, func(k *key) error {
		err := s.rotating(k)
		k.Rotation = false
		return err
	})
	return &none{}, err
}

func (s *Service) rotationStatus(_ context.Context, _ *awsapi.Call, in *keyIn) (*rotationOut, error) {
	k, err := s.load(in.KeyID)
	if err != nil {
		return nil, err
	}
	out := &rotationOut{KeyID: s.keyARN(k.ID), KeyRotationEnabled: k.Rotation}
	if k.Rotation {
		out.RotationPeriodInDays, out.NextRotationDate = k.RotationDays, awsapi.TimeOf(k.next())
	}
	return out, nil
}

func (s *Service) rotateNow(_ context.Context, _ *awsapi.Call, in *keyIn) (*keyIDOut, error) {
	k, err := s.change(in.KeyID, func(k *key) error {
		if err := s.rotating(k); err != nil {
			return err
		}
		since := k.RotationSince // the automatic ones keep their pace
		err := s.rotate(k)
		k.RotationSince = since
		return err
	})
	return &keyIDOut{s.keyARN(k.ID)}, err
}

func (s *Service) tagResource(_ context.Context, _ *awsapi.Call, in *tagsIn) (*none, error) {
	_, err := s.change(in.KeyID, func(k *key) error {
		if k.Tags == nil {
			k.Tags = map[string]string{}
		}
		for _, t := range in.Tags {
			k.Tags[t.TagKey] = t.TagValue
		}
		return nil
	})
	return &none{}, err
}

func (s *Service) untagResource(_ context.Context, _ *awsapi.Call, in *tagsIn) (*none, error) {
	_, err := s.change(in.KeyID, func(k *key) error {
		for _, name := range in.TagKeys {
			delete(k.Tags, name)
		}
		return nil
	})
	return &none{}, err
}

func (s *Service) listTags(_ context.Context, _ *awsapi.Call, in *keyIn) (*tagsOut, error) {
	k, err := s.load(in.KeyID)
	out := &tagsOut{Tags: []tag{}}
	for _, name := range slices.Sorted(maps.Keys(k.Tags)) {
		out.Tags = append(out.Tags, tag{name, k.Tags[name]})
	}
	return out, err
}

var aliasName = regexp.MustCompile(`^alias/[a-zA-Z0-9/_-]{1,250}$`)

func checkAlias(name string) error {
	if !aliasName.MatchString(name) {
		return awsapi.Errorf("ValidationException",
			"Alias must start with the prefix \"alias/\" and hold letters, digits and /_- only. Please see "+
				"https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html")
	}
	if strings.HasPrefix(name, "alias/aws/") {
		return awsapi.Errorf("NotAuthorizedException", "An alias cannot begin with alias/aws/")
	}
	return nil
}

func (s *Service) createAlias(_ context.Context, _ *awsapi.Call, in *aliasIn) (*none, error) {
	if err := checkAlias(in.AliasName); err != nil {
		return nil, err
	}
	return &none{}, s.config.Store.Update(func(tx *store.Tx) error {
		if _, twice, err := aliases.Get(tx, in.AliasName); err != nil {
			return err
		} else if twice {
			return awsapi.Errorf("AlreadyExistsException", "An alias with the name %s already exists",
				s.arn(in.AliasName))
		}
		k, err := s.aliased(tx, in.TargetKeyID)
		if err != nil {
			return err
		}
		now := s.config.Scheduler.Now()
		return aliases.Put(tx, alias{in.AliasName, k.ID, now, now}, in.AliasName)
	})
}

// aliased is a key that may get an alias.
func (s *Service) aliased(tx *store.Tx, name string) (key, error) {
	if strings.HasPrefix(strings.TrimPrefix(name, s.arn("")), "alias/") {
		return key{}, invalid("Aliases must refer to keys. Not aliases")
	}
	k, err := s.find(tx, name)
	if err == nil && !k.Deletion.IsZero() {
		err = pending(s.keyARN(k.ID))
	}
	return k, err
}

func (s *Service) updateAlias(_ context.Context, _ *awsapi.Call, in *aliasIn) (*none, error) {
	if err := checkAlias(in.AliasName); err != nil {
		return nil, err
	}
	return &none{}, s.config.Store.Update(func(tx *store.Tx) error {
		a, ok, err := aliases.Get(tx, in.AliasName)
		if err != nil {
			return err
		}
		if !ok {
			return noAlias(s.arn(in.AliasName))
		}
		was, err := s.find(tx, a.KeyID)
		if err != nil && awsapi.Code(err) != "NotFoundException" {
			return err
		}
		k, err := s.aliased(tx, in.TargetKeyID)
		if err != nil {
			return err
		}
		if was.ID != "" && (was.Usage != k.Usage || (was.Spec == symmetric) != (k.Spec == symmetric)) {
			return invalid("The current and the new key of an alias must be of the same type and usage")
		}
		a.KeyID, a.Updated = k.ID, s.config.Scheduler.Now()
		return aliases.Put(tx, a, in.AliasName)
	})
}

func (s *Service) deleteAlias(_ context.Context, _ *awsapi.Call, in *aliasIn) (*none, error) {
	if err := checkAlias(in.AliasName); err != nil {
		return nil, err
	}
	return &none{}, s.config.Store.Update(func(tx *store.Tx) error {
		if _, ok, err := aliases.Get(tx, in.AliasName); err != nil || !ok {
			if err == nil {
				err = noAlias(s.arn(in.AliasName))
			}
			return err
		}
		return aliases.Delete(tx, in.AliasName)
	})
}

func (s *Service) listAliases(_ context.Context, _ *awsapi.Call, in *listIn) (*listAliasesOut, error) {
	out := &listAliasesOut{Aliases: []listedAlias{}}
	q := store.Query{}
	var ok bool
	if q.After, ok = awsapi.PageAfter(in.Marker, 1); !ok {
		return nil, errMarker
	}
	return out, s.config.Store.View(func(tx *store.Tx) error {
		of := ""
		if in.KeyID != "" {
			k, err := s.find(tx, in.KeyID)
			if err != nil {
				return err
			}
			of = k.ID
		}
		for row, err := range aliases.Scan(tx, q) {
			if err != nil {
				return err
			}
			a := row.Value
			if of != "" && a.KeyID != of {
				continue
			}
			if len(out.Aliases) == awsapi.PageSize(in.Limit, 50, 100) {
				out.Truncated, out.NextMarker = true, awsapi.PageToken(
					out.Aliases[len(out.Aliases)-1].AliasName)
				return nil
			}
			out.Aliases = append(out.Aliases, listedAlias{a.Name, s.arn(a.Name), a.KeyID, awsapi.Time{Time: a.Created},
				awsapi.Time{Time: a.Updated}})
		}
		return nil
	})
}

// Values that members take, for their tags.
var (
	_ = constraint.Set("encryption algorithms", "RSAES_OAEP_SHA_1 RSAES_OAEP_SHA_256 SM2PKE SYMMETRIC_DEFAULT")
	_ = constraint.Set("key specs",
		"ECC_NIST_EDWARDS25519 ECC_NIST_P256 ECC_NIST_P384 ECC_NIST_P521 ECC_SECG_P256K1 HMAC_224 "+
			"HMAC_256 HMAC_384 HMAC_512 ML_DSA_44 ML_DSA_65 ML_DSA_87 RSA_2048 RSA_3072 RSA_4096 SM2 "+
			"SYMMETRIC_DEFAULT")
	_ = constraint.Set("master key specs",
		"ECC_NIST_P256 ECC_NIST_P384 ECC_NIST_P521 ECC_SECG_P256K1 HMAC_224 HMAC_256 HMAC_384 "+
			"HMAC_512 RSA_2048 RSA_3072 RSA_4096 SM2 SYMMETRIC_DEFAULT")
	_ = constraint.Set("signing algorithms",
		"ECDSA_SHA_256 ECDSA_SHA_384 ECDSA_SHA_512 ED25519_PH_SHA_512 ED25519_SHA_512 "+
			"ML_DSA_SHAKE_256 RSASSA_PKCS1_V1_5_SHA_256 RSASSA_PKCS1_V1_5_SHA_384 "+
			"RSASSA_PKCS1_V1_5_SHA_512 RSASSA_PSS_SHA_256 RSASSA_PSS_SHA_384 RSASSA_PSS_SHA_512 SM2DSA")
)
