# Everything that is done here, by name. `make help` explains each target.
SHELL := /usr/bin/env bash -o pipefail
.SHELLFLAGS := -ec
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VERSION  ?= dev
REGISTRY ?= ghcr.io/wechatendpoint
# CLUSTER=local is a cluster of real parts on this machine; CLUSTER=current is that of your kubeconfig, and pulls from REGISTRY, where images are pushed.
CLUSTER  ?= local
IMAGES   := operator sidecar example-app

cluster  := test/cluster/cluster
tool      = "$$(tools/install $(1))"
# A machine without kubectl gets the one that was built for the local cluster.
find_kubectl = command -v kubectl >/dev/null || ln -sf "$$($(cluster) assets)/kubectl" bin/kubectl
bring_in     = { [ "$(CLUSTER)" != local ] || $(cluster) load bin/images/*.tar; }; $(find_kubectl)
# The tests that need an API server; the others of their packages run with the unit tests.
need_server = ^($$(grep -l '^//go:build integration' controllers/*_test.go charts/*_test.go | xargs grep -ho '^func Test[A-Za-z0-9]*' | cut -c6- | paste -sd '|'))$$
# Most of them wait most of the time. They and the API servers collect garbage when there is much of it; what is measured sets that itself.
integration = GOGC=400 go test -v -count=1 -parallel 8 -timeout 30m -tags integration -run "$(need_server)"
# Figures that passing tests tell stay in the output of -v, and what goes well is left out.
figures := grep --line-buffered -vE '^ *(=== (RUN|PAUSE|CONT|NAME)|--- PASS)'
go_build := CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X github.com/wechatendpoint/wechatendpoint/sidecar/version.release=$(VERSION)'
export IMAGE_PREFIX := $(REGISTRY)
export IMAGE_TAG := $(VERSION)
export CLUSTER

ifeq ($(CLUSTER),local)
inside := $(cluster) exec --
e2e e2e-short chaos demo: export KUBECONFIG = $(shell $(cluster) kubeconfig 2>/dev/null)
endif

include hack/release.mk hack/trials.mk

##@ Everyday

try: bin/sidecar bin/example-app bin/try ## See it work in seconds, without a cluster (Linux or macOS, Go alone)
	@bin/try

help: ## Show this help
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: bin/operator bin/sidecar bin/kubectl-wechat bin/example-app ## Build the operator, the sidecar, the kubectl plugin and the example app into bin/
bin/operator bin/sidecar bin/kubectl-wechat bin/example-app bin/ledger-app bin/try bin/demo bin/soak: need-go
	$(go_build) -o $@ ./$(firstword $(wildcard cmd/$(@F) test/$(@F) test/apps/$(@F:-app=)))

need-go:
	@command -v go >/dev/null || { echo "Go is missing: install the version that go.mod names, from https://go.dev/dl or a package of your system" >&2; exit 1; }

image = $(call tool,release) image -binary bin/$(1) -name /$(2) -tag $(REGISTRY)/$(2):$(3) \
  $(if $(filter local,$(CLUSTER)),-out bin/images/$(1).tar,-push)

images: build ## Make the images, as tarballs in bin/images; with CLUSTER=current push them to REGISTRY
	@mkdir -p bin/images
	@$(foreach name,$(IMAGES),$(call image,$(name),$(name),$(VERSION));)

# A sidecar that knows only the version before the newest of its configuration, with which the upgrade tests begin.
previous: build
	@mkdir -p bin/images
	@$(go_build) -tags previous -o bin/sidecar-previous ./cmd/sidecar
	@$(call image,sidecar-previous,sidecar,$(VERSION)-previous)

check: ## Lint the Go code and run the unit tests of what changed: the loop of a small change
	$(call tool,golangci-lint) run --allow-parallel-runners ./...
	go test -short ./...

generate: ## Write the generated Go code, and the reference of the API in docs/api.md
	$(call tool,controller-gen) object:headerFile=hack/boilerplate.go.txt paths=./api/... paths=./controllers/internal/gatewayapi
	$(call tool,crd-ref-docs) --log-level ERROR --source-path api/v1alpha1 --config hack/api-docs/config.yaml --templates-dir hack/api-docs/templates \
	  --renderer markdown --output-path docs/api.md

manifests: ## Write the CRD, the roles, the admission policies and their copies in the chart, and the schema and README of its values
	$(call tool,controller-gen) crd paths=./api/... output:crd:dir=config/crd/bases
	go run ./hack/tighten config/crd/bases/*.yaml
	$(call tool,controller-gen) rbac:roleName=wechatendpoint-operator paths=./controllers/... output:rbac:dir=config/rbac
	go run ./hack/policy && go run ./hack/values
	hack/chart-crd.sh

verify: ## Fail if a generated file or go.mod is stale
	hack/verify.sh

##@ Tests

# The end-to-end tests wait most of the time: the others run beside them, one after the other. What fills both processors runs alone: beside it
# others are late, and fail.
test: lint set-up ## Run every test but those that take long: the rest of integration and e2e, LIMITS=long, and the trials
	@$(MAKE) integration-short
	@$(MAKE) -j2 e2e-short beside-e2e

beside-e2e:
	@for tests in unit limits interop monitoring dashboard commands-short; do $(MAKE) $$tests || exit; done

# At once they would wait for each other's apt-get.
set-up:
	@test/e2e/setup

lint: ## Lint the Go code, the workflows, the chart and what it renders
	$(call tool,golangci-lint) run --allow-parallel-runners --build-tags integration,e2e,limits,prometheus,browser,commands ./...
	$(call tool,actionlint) -shellcheck= -pyflakes=
	$(call tool,helm) lint --strict charts/wechat-endpoint
	hack/schema-check.sh

# Packages where no goroutines meet.
one_by_one := wechatendpoint/(api|charts|config|docs|hack)(/|$$)
# The scenes of controllers are many, and played by one goroutine each. The sidecar's tests wait most of the time: they begin with the others.
unit: ## Run the unit tests, with the race detector where goroutines meet
	@(GOGC=400 go test ./controllers ./controllers/internal/kept && go test -race -run '^Test(TwoOperatorsAtOnce|EachObjectIsReadOnce)$$' ./controllers) & scenes=$$!; \
	  go test -race ./sidecar & sidecar=$$!; \
	  go test $$(go list ./... | grep -E '$(one_by_one)'); \
	  go test -race $$(go list ./... | grep -vE '/(controllers|controllers/internal/kept|sidecar)$$|$(one_by_one)'); wait $$scenes; wait $$sidecar
	for module in test/cluster test/gitops tools/release; do (cd $$module && go test ./...); done

limits: ## Flood the sidecar in a memory cgroup of its pods' size (Linux, root); LIMITS=long tries everything, and for longer
	go test -v -count=1 -timeout 20m -tags limits ./test/limits | $(figures)

monitoring: ## Try the alerts and the dashboards with a real Prometheus
	go test -count=1 -tags prometheus ./test/prometheus ./test/monitoring

dashboard: ## Walk through the dashboard of the plugin in a headless browser
	test/dashboard/setup
	go test -count=1 -tags browser ./test/dashboard

interop: ## Try the sidecar against other people's WeChat code, on both sides
	test/interop/setup
	cd test/interop && go vet . && go test -count=1

commands: ## Run the commands of the pages that build, test or measure this repository, in a copy of it, with short trials (Linux, root)
commands commands-short:
	$(if $(filter commands,$@),test/commands/setup)
	go test -v -count=1 -timeout 80m -tags commands $(if $(filter commands-short,$@),-short) -run '^TestCommands$$' ./test/commands | $(figures)

integration: ## Run all tests that need an API server, on the newest Kubernetes and on the oldest that is supported
	@$(MAKE) -j2 integration-newest integration-oldest

integration-newest integration-oldest integration-short: integration-%:
	@OLDEST_KUBERNETES=$(filter oldest,$*) KUBEBUILDER_ASSETS="$$($(cluster) assets $(filter oldest,$*))" $(integration) $(if $(filter short,$*),-short) ./controllers $(if $(filter oldest,$*),,./charts) | $(figures)

e2e: ## Run all end-to-end tests on the cluster
e2e e2e-short: $(if $(filter local,$(CLUSTER)),cluster-up trial-release) images previous ledger
	@$(bring_in)
	test/e2e/setup
	$(if $(inside),PATH="$$(tools/unpack docker-registry docker-registry):$$PATH" KREW=$(call tool,krew) CRANE=$(call tool,crane)) HELM=$(call tool,helm) KUBECTL="$$(PATH="$(CURDIR)/bin:$$PATH" command -v kubectl)" \
	  go test -v -count=1 -timeout 25m -parallel 6 $(if $(filter e2e-short,$@),-short) -tags e2e $(if $(inside),-exec '$(CURDIR)/$(inside)') ./test/e2e/... | $(figures)

# What the tests install as a reader of the pages does, who finds it where the project publishes.
trial-release:
	@$(call tool,release) make -version "$$(sed -n 's/^version: //p' charts/wechat-endpoint/Chart.yaml)-dev" -platforms "linux/$$(go env GOARCH)" -out dist/e2e

##@ A cluster to try it on

demo: $(if $(filter local,$(CLUSTER)),cluster-up) images bin/demo ## Show the main job, end to end, on the cluster
	@$(bring_in)
	@HELM=$(call tool,helm) PATH="$(CURDIR)/bin:$$PATH" $(inside) bin/demo

demo-down: ## Remove what the demo made; on the local cluster, the cluster itself
	@if [ "$(CLUSTER)" = local ]; then $(cluster) down; else HELM=$(call tool,helm) go run ./test/demo -down; fi

cluster-up: ## Start a real Kubernetes on this machine (Linux, root)
	@$(cluster) up

cluster-down: ## Stop it and leave nothing behind
	@$(cluster) down

.PHONY: set-up beside-e2e trial-release commands commands-short try help build bin/operator bin/sidecar bin/kubectl-wechat bin/example-app bin/ledger-app bin/try bin/demo bin/soak need-go images previous check generate manifests verify test lint unit limits monitoring interop integration integration-newest integration-oldest integration-short e2e e2e-short demo demo-down cluster-up cluster-down
