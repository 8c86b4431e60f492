# Targets of a release; docs/release.md says what it contains. They are included by the Makefile.

##@ Releases

# None of them looks at a cluster.
release push-bundle release-check: export KUBECONFIG :=

release: ## Make the release VERSION in dist/VERSION: images, plugin, chart, install.yaml
	@$(call tool,release) make -version '$(VERSION)' -registry '$(REGISTRY)' -out 'dist/$(VERSION)'

BUNDLE ?= dist/$(VERSION)
push-bundle: ## Push the images and the chart of the release in BUNDLE (dist/VERSION) to REGISTRY
	@$(if $(filter file,$(origin REGISTRY)),$(error push-bundle needs REGISTRY, such as REGISTRY=registry.example.com/you))
	@$(call tool,release) push -from '$(BUNDLE)' -registry '$(REGISTRY)' -helm $(call tool,helm) $(if $(filter true,$(PLAIN_HTTP)),-plain-http)

release-check: ## Make a release twice, compare, and try what is in it: on arm64, in a registry, by helm
	@hack/install-qemu.sh
	cd tools/release && go test -count=1 -v -timeout 30m -tags release -run '^TestRelease$$' . | $(figures)

.PHONY: release push-bundle release-check
