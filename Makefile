# The verbs of this repository. Needed: Go and make; Node.js for synth and deploy only; Python for lint-template only.
DEVICES ?= 25
FAULTS ?=
EVENT ?= $(if $(FAULTS),events/create-job-quick.json,events/create-job.json)

GO ?= go
FUNCTIONS := $(notdir $(wildcard lambdas/*))
CDK := aws-cdk@2.1148.1
CFN_LINT := cfn-lint==1.51.0

export CGO_ENABLED = 0

.PHONY: run build test test-race lint fmt proto synth deploy build-lambdas lint-template bench fuzz clean

run: build ## one whole campaign on this machine: DEVICES=25 EVENT=file FAULTS=all
	bin/fleetstep demo --devices $(DEVICES) --event $(EVENT) --faults "$(FAULTS)"

build: $(FUNCTIONS:%=build-%) ## bin/fleetstep, and the functions for this machine beside it
	$(GO) build -ldflags "-s -w" -o bin/fleetstep ./cmd/fleetstep

$(FUNCTIONS:%=build-%): build-%:
	$(GO) build -ldflags "-s -w" -o bin/lambda/$*/bootstrap ./lambdas/$*

test: ## all tests
	$(GO) test ./...

test-race: ## all tests with the race detector (needs a C compiler)
	CGO_ENABLED=1 $(GO) test -race ./...

lint: ## formatting, vet, staticcheck, freshness of generated code
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); echo "run make fmt"; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	$(GO) run ./proto/generate -check

fmt:
	gofmt -w $$(git ls-files '*.go')

proto: ## generate Go and the descriptor set from proto/*.proto
	$(GO) run ./proto/generate

synth: ## write infra/testdata/template.json (needs Node.js)
	$(GO) run ./infra/app -placeholder-assets -write infra/testdata/template.json

synth-check: ## is the committed template fresh? (needs Node.js)
	$(GO) run ./infra/app -placeholder-assets -check infra/testdata/template.json

build-lambdas: $(FUNCTIONS:%=deploy-%) ## the functions as AWS runs them: static, arm64

$(FUNCTIONS:%=deploy-%): deploy-%:
	GOOS=linux GOARCH=arm64 $(GO) build -trimpath -tags lambda.norpc -ldflags "-s -w" -o .build/lambda/$*/bootstrap ./lambdas/$*

deploy: build-lambdas ## deploy the stack to the AWS account of the environment (needs Node.js)
	cd infra && npx --yes $(CDK) deploy --require-approval broadening

lint-template: .build/venv/bin/cfn-lint ## check the template with cfn-lint (needs Python)
	.build/venv/bin/cfn-lint --config-file infra/.cfnlintrc.yaml infra/testdata/template.json

.build/venv/bin/cfn-lint:
	python3 -m venv .build/venv
	.build/venv/bin/pip install --quiet --disable-pip-version-check $(CFN_LINT)

bench: ## benchmarks, with allocations
	$(GO) test -run '^$$' -bench . -benchmem ./internal/...

clean:
	rm -rf bin .build infra/cdk.out cdk.out
