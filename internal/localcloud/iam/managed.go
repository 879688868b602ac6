package iam

import (
	"strings"
	"time"
)

// awsManaged are the AWS-managed policies that exist here, by ARN.
var awsManaged = map[string]string{
	"arn:aws:iam::aws:policy/AdministratorAccess": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`,
	// What reads in the services that are here.
	"arn:aws:iam::aws:policy/ReadOnlyAccess": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":[` +
		`"cloudformation:Describe*","cloudformation:Get*","cloudformation:List*","cloudformation:ValidateTemplate",` +
		`"cloudwatch:Describe*","cloudwatch:Get*","cloudwatch:List*","dynamodb:BatchGet*","dynamodb:Describe*","dynamodb:Get*",` +
		`"dynamodb:List*","dynamodb:PartiQLSelect","dynamodb:Query","dynamodb:Scan","iam:Get*","iam:List*","iot:Describe*","iot:Get*",` +
		`"iot:List*","iot:SearchIndex","kms:Describe*","kms:Get*","kms:List*","lambda:Get*","lambda:List*","logs:Describe*",` +
		`"logs:FilterLogEvents","logs:Get*","logs:List*","s3:Get*","s3:List*","scheduler:Get*","scheduler:List*","sns:Get*","sns:List*",` +
		`"sqs:Get*","sqs:List*","sqs:Receive*","ssm:Describe*","ssm:Get*","ssm:List*","states:Describe*","states:Get*","states:List*",` +
		`"sts:GetAccessKeyInfo","sts:GetCallerIdentity"],"Resource":"*"}]}`,
	"arn:aws:iam::aws:policy/AWSCloudFormationReadOnlyAccess": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":[` +
		`"cloudformation:Describe*","cloudformation:EstimateTemplateCost","cloudformation:Get*","cloudformation:List*",` +
		`"cloudformation:ValidateTemplate","cloudformation:Detect*"],"Resource":"*"}]}`,
	"arn:aws:iam::aws:policy/AWSXRayDaemonWriteAccess": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":[` +
		`"xray:PutTraceSegments","xray:PutTelemetryRecords","xray:GetSamplingRules","xray:GetSamplingTargets","xray:GetSamplingStatisticSummaries"` +
		`],"Resource":["*"]}]}`,
	"arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":[` +
		`"logs:CreateLogGroup","logs:CreateLogStream","logs:PutLogEvents"],"Resource":"*"}]}`,
	"arn:aws:iam::aws:policy/service-role/AWSLambdaRole": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["lambda:InvokeFunction"],"Resource":["*"]}]}`,
	"arn:aws:iam::aws:policy/service-role/AWSLambdaSQSQueueExecutionRole": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":[` +
		`"sqs:ReceiveMessage","sqs:DeleteMessage","sqs:GetQueueAttributes","logs:CreateLogGroup","logs:CreateLogStream","logs:PutLogEvents"],"Resource":"*"}]}`,
	"arn:aws:iam::aws:policy/AmazonDynamoDBReadOnlyAccess": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":[` +
		`"dynamodb:BatchGetItem","dynamodb:Describe*","dynamodb:List*","dynamodb:GetItem","dynamodb:Query","dynamodb:Scan","dynamodb:PartiQLSelect"],"Resource":"*"}]}`,
	"arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":[` +
		`"s3:Get*","s3:List*","s3:Describe*"],"Resource":"*"}]}`,
}

// awsManagedSince is the creation date that AWS-managed policies show here.
var awsManagedSince = time.Date(2015, 4, 10, 0, 0, 0, 0, time.UTC)

// awsManagedPolicy returns an AWS-managed policy as a record.
func awsManagedPolicy(arn string) (managedPolicy, bool) {
	doc, ok := awsManaged[arn]
	if !ok {
		return managedPolicy{}, false
	}
	name := arn[strings.LastIndexByte(arn, '/')+1:]
	path := strings.TrimPrefix(strings.TrimSuffix(arn, name), "arn:aws:iam::aws:policy")
	return managedPolicy{
		Name: name, Path: path, ARN: arn, ID: "ANPA" + strings.ToUpper(name), Created: awsManagedSince,
		Updated: awsManagedSince,
		Default: "v1", Next: 2, Versions: map[string]policyVersion{"v1": {doc, awsManagedSince}},
	}, true
}
