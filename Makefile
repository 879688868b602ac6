# The verbs of this repository. Needed: Go and make; Node.js for synth and deploy only; Python for lint-template only.
DEVICES ?= 25
FAULTS ?=
# Models of devices: all, or names (bin/fleetstep simulate --list-profiles).
PROFILES ?=
# What AWS does on bad days: none, bad, or kinds of it (docs/weather.md).
WEATHER ?= none
EVENT ?= $(if $(FAULTS)$(PROFILES),$(DIFFICULT),$(PLAIN))
DIFFICULT = events/create-job-quick.json
PLAIN = events/create-job.json
# Anything: the devices are new, and are onboarded before the job.
ONBOARD ?=
# Another operation than the upgrade, of a folder WORKFLOWS= or our own.
OPERATION ?=
INPUT ?= {}
WORKFLOWS ?=
# A payload of create-campaign: a campaign instead of a job. APPROVE= is what its operator does: auto (after 10 minutes),
# deny, at=DURATION; BAD_IMAGE= VERSION:SHARE, an image that does not boot everywhere; EXPECT= the verdict.
CAMPAIGN ?=
BAD_IMAGE ?=
APPROVE ?= at=2s
EXPECT ?= $(if $(BAD_IMAGE),halted,completed)
JOB = $(if $(CAMPAIGN),--campaign $(CAMPAIGN) --approve $(APPROVE) --expect $(EXPECT) $(if $(BAD_IMAGE),--bad-image $(BAD_IMAGE)),$(ANYJOB))
ANYJOB = $(if $(OPERATION),--operation $(OPERATION) --input '$(INPUT)' $(if $(WORKFLOWS),--workflows $(WORKFLOWS)),--event $(EVENT))
# A rollout begins with 20 devices a minute; create-job-fast.json begins with 1,000.
run: PLAIN = $(if $(shell test $(DEVICES) -gt 20 && echo many),events/create-job-fast.json,events/create-job.json)

# On a bad day an answer may take longer than the 15 s of create-job-quick.json: create-job-bad-day.json waits as long
# as a message takes that comes again after its function died. Virtual time has the usual times.
DAY = $(if $(filter none,$(WEATHER)),quick,$(1))
run: DIFFICULT = events/create-job-$(call DAY,bad-day).json
rehearse: DIFFICULT = events/create-job-$(call DAY,faults).json

GO ?= go
FUNCTIONS := $(notdir $(wildcard lambdas/*))
CDK := aws-cdk@2.1148.1
AWS_CLI := awscli==1.45.11
SAM := aws-sam-cli==1.170.0
GOLANGCI_LINT := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0
VULNDB := v0.0.0-20261105234957-e22db6528018
CFN_LINT := cfn-lint==1.51.0
CHECKOV := checkov==3.3.30

SEED ?= 1
FUZZTIME ?= 30s
# Packages whose targets make fuzz plays, and packages of make test-race.
FUZZ ?= ./...
RACE ?= ./...
BENCHSTAT := golang.org/x/perf/cmd/benchstat@v0.0.0-20260908200009-22c9c6c9d4da

# lambda.norpc leaves out the runtime's net/rpc half: it makes the linker keep every method of every SDK client.
BUILD := $(GO) build -tags lambda.norpc -ldflags "-s -w"

export CGO_ENABLED = 0

.PHONY: run rehearse build test test-race test-restart test-crash test-campaigns test-windows test-flood stored-forms test-disk test-upgrade test-ablation test-deploy lint vuln fmt dist proto synth synth-check deploy smoke build-lambdas \
	lint-template bench bench-compare bench-baseline bench-jsonata fuzz clean

run: build ## one whole job on this machine: DEVICES=25 EVENT=file FAULTS=all PROFILES=all, OPERATION=reboot INPUT=json WORKFLOWS=folder, CAMPAIGN=events/create-campaign-demo.json
	bin/fleetstep demo --devices $(DEVICES) $(JOB) --faults "$(FAULTS)" --profiles "$(PROFILES)" --weather $(WEATHER) \
		$(if $(ONBOARD),--onboard)

rehearse: ## a job in virtual time, without sockets: DEVICES=10000 SEED=7 FAULTS=all PROFILES=all
	$(BUILD) -o bin/fleetstep ./cmd/fleetstep
	bin/fleetstep rehearse --devices $(DEVICES) --seed $(SEED) $(JOB) --faults "$(FAULTS)" --profiles "$(PROFILES)" \
		--weather $(WEATHER) $(if $(ONBOARD),--onboard)

build: $(FUNCTIONS:%=build-%) ## bin/fleetstep, and the functions for this machine beside it
	$(BUILD) -o bin/fleetstep ./cmd/fleetstep

$(FUNCTIONS:%=build-%): build-%:
	$(BUILD) -o bin/lambda/$*/bootstrap ./lambdas/$*

# The packages that mostly wait begin first, and several at once. Tests leave little behind: less often collected they
# take a tenth less time.
SLOW = ./internal/e2e ./internal/ablation ./internal/rehearsal ./internal/restarttest
test: ## all tests; the last lines say how many recorded cases passed
	GOGC=300 $(GO) test -timeout 20m -p 4 -parallel 4 -json $(SLOW) ./... | $(GO) run ./internal/recordings/summary

# What a change is judged by draws the same cases in each run; test-properties and test-crash draw new ones.
test test-race: export RAPID_SEED ?= 1

.PHONY: test-properties
test-properties: ## CHECKS=2000 new cases of each property that tests claim, but of whole jobs (test-crash)
	RAPID_CHECKS=$(or $(CHECKS),2000) $(GO) test -count=1 -timeout 60m \
		$$($(GO) list -f '{{.ImportPath}} {{.TestImports}} {{.XTestImports}}' ./internal/... | \
			grep pgregory.net/rapid | cut -d' ' -f1 | grep -v internal/rehearsal)

test-race: ## tests with the race detector (needs a C compiler): RACE=packages
	CGO_ENABLED=1 $(GO) test -race $(RACE)

test-restart: build ## kill -9 at 30 random moments of a 100-device job, and while a job is paused
	FLEETSTEP_BIN=$(CURDIR)/bin FLEETSTEP_RESTARTS=30 $(GO) test -count=1 -timeout 20m -v -run 'TestRestarts|UnderKills' ./internal/restarttest

test-crash: ## end the cloud at each write of a job and of a state machine, in virtual time
	FLEETSTEP_CRASHES=all $(GO) test -count=1 -timeout 60m -v -run Survive ./internal/localcloud
	FLEETSTEP_CRASHES=all $(GO) test -count=1 -timeout 60m -v -run FailedCreation ./internal/localcloud/cloudformation
	FLEETSTEP_CRASHES=all $(GO) test -count=1 -timeout 90m -v -run Survive ./internal/rehearsal -rapid.checks=1500

test-campaigns: ## campaigns of every kind, and SEEDS=10 with every fault, a third of them in bad weather: DEVICES=200
	FLEETSTEP_CAMPAIGNS=$(or $(SEEDS),10) FLEETSTEP_CAMPAIGN_DEVICES=$(if $(filter command line,$(origin DEVICES)),$(DEVICES)) \
		$(GO) test -count=1 -timeout 120m -run Campaign ./internal/rehearsal

test-windows: ## a fleet that waits for its window, over midnight, in three time zones: DEVICES=20000
	FLEETSTEP_FLEET=$(if $(filter command line,$(origin DEVICES)),$(DEVICES),20000) $(GO) test -count=1 -timeout 60m -v \
		-run TestAFleetWaitsForItsWindow ./internal/rehearsal

test-flood: ## three devices flood their topics beside a job for 50
	FLEETSTEP_FLOOD=all $(GO) test -count=1 -timeout 30m -v -run TestThreeFloodsBesideAJob ./internal/rehearsal

stored-forms: ## samples of what is stored, under NAME=form-2, for the tests that read them; before a form changes
	FLEETSTEP_STORED=$(NAME) $(GO) test -count=1 -v -run TestStoredFormsAreSampled ./internal/rehearsal
	FLEETSTEP_STORED=$(NAME) $(GO) test -count=1 -run TestStoredItemsAreRead ./internal/workflow/dynamodb

test-disk: ## a disk that fills up: the store over each failing call, and a real cloud on a small tmpfs (Linux, unshare)
	$(GO) test -count=1 -run 'FailedWrites|NewWork' ./internal/localcloud/store ./internal/localcloud
	FLEETSTEP_DISK=tmpfs unshare -rm $(GO) test -count=1 -v -run TestFullDisk ./cmd/fleetstep

.PHONY: test-uploads
test-uploads: ## ten multipart uploads of 200 MB to S3 at once, and the memory that they take (needs 6 GB of disk)
	FLEETSTEP_UPLOADS=10x200 $(GO) test -count=1 -v -run TestUploadsTakeLittleMemory ./internal/localcloud/s3

.PHONY: soak
SECONDS ?= 600
soak: ## the local cloud under mixed requests for SECONDS (600), with THINGS=100000 and DEVICES=5000: memory, how long reads take, throttling
	FLEETSTEP_SOAK=$(SECONDS) $(GO) test -count=1 -timeout 0 -v -run TestSoak ./internal/bench

.PHONY: test-profiles
test-profiles: ## every fault on every model of devices, and at every state of an upgrade, in virtual time
	FLEETSTEP_PROFILES=all $(GO) test -count=1 -timeout 60m -v -run 'EveryFaultOnEveryProfile|AllFaultsAtEachStep' \
		./internal/rehearsal

.PHONY: test-weather test-mutations test-quotas
test-weather: ## 200 jobs of 300 devices on bad days, in virtual time
	FLEETSTEP_WEATHER_SEEDS=200 $(GO) test -count=1 -timeout 4h -v -run BadWeather ./internal/rehearsal

test-mutations: ## bad weather finds each defect again whose mending is switched off
	FLEETSTEP_MUTATIONS=all $(GO) test -count=1 -timeout 4h -v -run MendingsAreMissed ./internal/rehearsal

test-quotas: ## a job at 1,000 devices a minute under the quotas of a default and of a new account: DEVICES=2000
	FLEETSTEP_QUOTAS=$(if $(filter command line,$(origin DEVICES)),$(DEVICES),2000) $(GO) test -count=1 -timeout 60m -v \
		-run UnderQuotas ./internal/rehearsal

test-ablation: ## a rehearsal to its end without each part of each policy
	FLEETSTEP_ABLATION=all $(GO) test -count=1 -timeout 60m -v ./internal/ablation

test-deploy: build ## bootstrap, deploy, update and destroy on the local cloud by the CDK's, AWS's and SAM's CLI
	CDK=$(CDK) AWS_CLI=$(AWS_CLI) SAM=$(SAM) .ci/deploy

.PHONY: deploy-clients lint-clients
deploy-clients: ## install the clients of test-deploy
	CDK=$(CDK) AWS_CLI=$(AWS_CLI) SAM=$(SAM) .ci/deploy clients

lint-clients: .build/venv/$(CFN_LINT).$(CHECKOV) ## install cfn-lint and checkov

lint: .build/bin/golangci-lint ## formatting, vet, staticcheck and the other linters of .golangci.yml; freshness of generated code
	.build/bin/golangci-lint run ./...
	$(GO) run ./proto/generate -check

.build/bin/golangci-lint:
	GOBIN=$(CURDIR)/.build/bin $(GO) install $(GOLANGCI_LINT)

vuln: .build/vulndb-$(VULNDB) ## known vulnerabilities in what the programs call; their database comes as a Go module
	$(GO) run $(GOVULNCHECK) -db file://$(CURDIR)/.build/vulndb-$(VULNDB) ./cmd/... ./lambdas/...

# The database of vuln.go.dev is made of this module.
.build/vulndb-$(VULNDB):
	$(GO) mod download golang.org/x/vulndb@$(VULNDB)
	$(GO) run golang.org/x/vulndb/cmd/indexdb@$(VULNDB) \
		-vulns "$$($(GO) env GOMODCACHE)/golang.org/x/vulndb@$(VULNDB)/data/osv" -out $@

fmt:
	gofmt -w $$(git ls-files '*.go')

proto: ## generate Go and the descriptor set from proto/*.proto
	$(GO) run ./proto/generate

synth: ## write infra/testdata/template.json (needs Node.js)
	$(GO) run ./infra/app -placeholder-assets -write infra/testdata/template.json

synth-check: ## is the committed template fresh? (needs Node.js)
	$(GO) run ./infra/app -placeholder-assets -check infra/testdata/template.json

test-upgrade: ## deploy one synthesized version over another in the middle of a job (needs Node.js)
	@mkdir -p .build/upgrade
	$(GO) run ./infra/app -placeholder-assets -revision one -write .build/upgrade/first.json
	$(GO) run ./infra/app -placeholder-assets -revision two -write .build/upgrade/second.json
	FLEETSTEP_TEMPLATES=$(CURDIR)/.build/upgrade $(GO) test -count=1 -run TestAnUpgradeOfTheStack ./internal/rehearsal

dist: ## reproducible archives for linux, macOS and Windows in .build/dist
	$(GO) run ./internal/release -out .build/dist

build-lambdas: $(FUNCTIONS:%=deploy-%) ## the functions as AWS runs them: static, arm64

$(FUNCTIONS:%=deploy-%): deploy-%:
	GOOS=linux GOARCH=arm64 $(BUILD) -trimpath -o .build/lambda/$*/bootstrap ./lambdas/$*

deploy: build-lambdas ## deploy the stack to the AWS account of the environment (needs Node.js)
	cd infra && npx --yes $(CDK) deploy --require-approval broadening

# YES=1 does not ask; SMOKE=flags, as --existing fleetstep.
# A local cloud (AWS_ENDPOINT_URL) runs the functions of this machine.
smoke: build $(if $(AWS_ENDPOINT_URL),,build-lambdas) ## try a deployment on your own account, and remove it: YES=1 SMOKE=flags
	bin/fleetstep smoke --lambda-dir $(if $(AWS_ENDPOINT_URL),bin,.build)/lambda $(if $(filter 1,$(YES)),--yes) $(SMOKE)

lint-template: .build/venv/$(CFN_LINT).$(CHECKOV) ## check the template with cfn-lint and checkov (needs Python)
	.build/venv/bin/cfn-lint --config-file infra/.cfnlintrc.yaml infra/testdata/template.json
	.build/venv/bin/checkov --config-file infra/.checkov.yaml

.build/venv/$(CFN_LINT).$(CHECKOV):
	python3 -m venv .build/venv
	.build/venv/bin/pip install --quiet --disable-pip-version-check $(CFN_LINT) $(CHECKOV)
	touch $@

bench: build ## benchmarks, with allocations; those of many executions with 10,000 waiting and 100,000 finished
	$(GO) test -run '^$$' -bench . -benchmem $$($(GO) list ./internal/... | grep -v jsonata/compare)
	$(GO) test -run '^$$' -bench . -benchmem -benchtime 50ms -cpu 1 ./internal/localcloud/sfn/jsonata/compare

# What does not depend on the machine: shares of a canned server in the same run, and allocations.
RATIOS := go test -run '^$$' -bench 'CannedServer|Executions|TaskToken|DynamoDB|Transitions' -benchmem -count 4

.PHONY: bench-lists
LISTS ?= 1000 1000000
bench-lists: ## lists, descriptions and searches at 1,000 and 1,000,000 of each kind: LISTS="sizes" LISTS_OF=things,jobs,…
	LISTS="$(LISTS)" LISTS_OF=$(LISTS_OF) $(GO) test ./internal/bench -run '^$$' -bench BenchmarkLists -benchtime 1x \
		-timeout 0 -v

bench-compare: build ## shares and allocations beside the committed baseline, by benchstat
	@mkdir -p .build/bench
	$(RATIOS) ./internal/bench ./internal/localcloud/sfn/asl > .build/bench/new.txt
	$(GO) run $(BENCHSTAT) -filter '.unit:(of-canned OR of-canned-cpu OR allocs/op)' internal/bench/testdata/baseline.txt .build/bench/new.txt

bench-baseline: build ## write that baseline; on a machine with nothing else to do
	@mkdir -p internal/bench/testdata
	$(RATIOS) ./internal/bench ./internal/localcloud/sfn/asl > internal/bench/testdata/baseline.txt

bench-jsonata: ## our JSONata beside the other Go engine and the reference implementation (needs npm)
	npm install --silent --prefix .build/jsonata jsonata@2.0.6
	$(GO) test ./internal/localcloud/sfn/jsonata/compare -run '^$$' -bench . -benchmem -benchtime 100ms -count 3 -cpu 1

fuzz: ## each fuzz target for FUZZTIME (30s, or 20000x executions): FUZZ=packages
	@for p in $$($(GO) list $(FUZZ) | grep -v /infra/app); do \
		for f in $$($(GO) test $$p -list '^Fuzz' | grep '^Fuzz'); do \
			echo "== $$p $$f"; $(GO) test $$p -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) || exit 1; \
		done; \
	done

clean:
	rm -rf bin .build infra/cdk.out cdk.out
