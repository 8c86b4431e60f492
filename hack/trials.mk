# Trials that take long and are no part of `make test`. docs/chaos.md and docs/performance.md say what some show. They are included by the Makefile.

##@ Trials

# The app of the chaos tests, as an image.
ledger: bin/ledger-app
	@mkdir -p bin/images
	@$(call image,ledger-app,ledger-app,$(VERSION))

chaos: cluster-up images ledger ## Break everything in turn on the local cluster, and account for each message (6 minutes; Linux, root)
	@$(bring_in)
	@CHAOS=long HELM=$(call tool,helm) KUBECTL="$$(PATH="$(CURDIR)/bin:$$PATH" command -v kubectl)" \
	  go test -v -count=1 -timeout 40m -tags e2e -run '^TestChaos$$' -exec '$(CURDIR)/$(inside)' ./test/e2e | $(figures)

SOAK ?= 1h
soak: bin/sidecar bin/soak ## Send mixed traffic to one sidecar for SOAK (1h), and see that it grows no further (Linux)
	@bin/soak -during $(SOAK) $(SOAK_FLAGS)

hostile: bin/sidecar bin/soak ## Measure what valid messages lose beside hostile traffic, with one sidecar (Linux)
	@bin/soak -hostile $(SOAK_FLAGS)

FUZZTIME ?= 20s
fuzz: ## Look for inputs that break a property, FUZZTIME for each
	@grep -rl --include='*_test.go' '^func Fuzz' api controllers sidecar | while read -r file; do \
	  for name in $$(grep -ho '^func Fuzz[A-Za-z]*' "$$file" | cut -c6-); do \
	    echo "$$name"; go test -run '^$$' -fuzz "^$$name$$" -fuzztime $(FUZZTIME) "./$$(dirname "$$file")"; \
	  done; \
	done

mutation: ## Weaken each security check, one after the other, and fail unless a test notices
	go run ./test/mutation

bench-operator: bin/operator bin/sidecar ## Measure what the operator costs an API server, side by side with a bare client, and what gateways save
	@go build -o bin/bench-operator ./test/bench/operator
	@KUBEBUILDER_ASSETS="$$($(cluster) assets)" bin/bench-operator $(BENCH)

bench: $(if $(SIDECAR),,bin/sidecar) ## Measure what the sidecar costs a message, side by side with other proxies; PEERS, COLUMNS, ROUNDS, SECONDS, SIDECAR
	@test/bench/dataplane/setup '$(PEERS)'
	@bin/bench-dataplane -sidecar '$(or $(SIDECAR),bin/sidecar)' -peers '$(PEERS)' $(if $(COLUMNS),-columns '$(COLUMNS)') \
	  $(if $(ROUNDS),-rounds $(ROUNDS)) $(if $(SECONDS),-seconds $(SECONDS)) $(BENCH)

.PHONY: ledger chaos soak hostile fuzz mutation bench-operator bench
