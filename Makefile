# Targets for people who work on Smache; `make` alone lists them.

.DEFAULT_GOAL := help

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
NFPM := github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.44.1
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null)
FUZZTIME ?= 10s
PORT ?= 4000

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## build the static binary, bin/smache
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/smache ./cmd/smache

.PHONY: packages
packages: ## build the .deb and the .rpm, in dist
	./scripts/packages.sh '$(VERSION)' dist

.PHONY: test
test: ## run all tests, as the README says
	./scripts/test.sh

.PHONY: ci
ci: ## run what CI runs, verbatim
	.ci/run

.PHONY: lint
lint: ## gofmt, go vet, staticcheck, shellcheck if it is there
	./scripts/lint.sh $(STATICCHECK)

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME (10s)
	./scripts/fuzz.sh $(FUZZTIME)

.PHONY: bench
bench: ## load the node on PORT (4000) as the seed's documentation does
	./scripts/bench.sh $(PORT)

.PHONY: docs
docs: ## rewrite the tables of README and METRICS.md from the code
	go test ./cmd/smache -run '^(TestReadmeTables|TestMetricsAreDocumented)$$' -update
