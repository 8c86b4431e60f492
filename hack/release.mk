# Targets of a release; docs/release.md says what it contains. They are included by the Makefile.

##@ Releases

release: ## Make the release VERSION in dist/VERSION: images, plugin, chart, install.yaml; PLATFORMS=linux/amd64 makes less
	@$(call tool,release) make -version '$(VERSION)' -registry '$(REGISTRY)' -platforms '$(PLATFORMS)' -out 'dist/$(VERSION)'

BUNDLE ?= dist/$(VERSION)
push-bundle: ## Push the images and the chart of the release in BUNDLE (dist/VERSION) to REGISTRY
	@$(if $(filter file,$(origin REGISTRY)),$(error push-bundle needs REGISTRY, such as REGISTRY=registry.example.com/you))
	@$(call tool,release) push -from '$(BUNDLE)' -registry '$(REGISTRY)' -helm $(call tool,helm) $(if $(filter true,$(PLAIN_HTTP)),-plain-http)

release-check: ## Make a release twice, compiling all twice, compare, and try what is in it
	@hack/install-qemu.sh
	cd tools/release && PLATFORMS='$(PLATFORMS)' go test -count=1 -v -timeout 30m -tags release -run '^TestRelease$$' . | $(figures)

.PHONY: release push-bundle release-check
