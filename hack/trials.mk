# Trials that take long and are no part of `make test`: docs/chaos.md and docs/performance.md say what they show. They are included by the Makefile.

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

.PHONY: ledger chaos soak hostile
