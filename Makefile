# Monitor. `make demo` runs it, `make test` proves it; `make help` lists the rest.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help build screenshots demo smoke chaos test race soak check lint vulncheck bench fuzz histories generate docs sbom static packages package-test release clean

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
WORKFLOWCHECK := go.temporal.io/sdk/contrib/tools/workflowcheck@v0.6.0
CYCLONEDX := github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.9.0
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0

# What make race sets: under the race detector, which needs a C compiler, all takes twice as long.
RACE :=

# Counts what the compiler has done: a first build fetches and compiles some minutes.
PROGRESS := awk -v tty=$$([ -t 1 ] && echo 1 || echo 0) -v what
SHOW = '/^go: downloading/ {d++; next_line()} /^[^ ]+$$/ {c++; next_line()} !/^go: downloading|^[^ ]+$$/ {print} \
	function next_line() {if (tty) printf "\r  %s: %d modules fetched, %d packages compiled ", what, d, c; else if ((c+d) % 200 == 0) printf "  %s: %d modules fetched, %d packages compiled\n", what, d, c; fflush()} \
	END {if (tty && c+d) print ""}'

help: ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

build: ## compile the programs into bin/
	@echo "building Temporal and its Web UI (some minutes the first time) ..."
	@(cd dev && go build -v -o ../bin/temporal-dev . 2>&1) | $(PROGRESS)=temporal-dev $(SHOW)
	@echo "building Monitor ..."
	@go build -v -o bin/monitor ./starter 2>&1 | $(PROGRESS)=monitor $(SHOW)
	@go build -v -o bin/monitor-worker ./worker 2>&1 | $(PROGRESS)=monitor-worker $(SHOW)
	@go build -v -o bin/monitor-testbed ./testbed/cmd/monitor-testbed 2>&1 | $(PROGRESS)=monitor-testbed $(SHOW)

demo: build ## run Monitor on a small PlanetLab and tell the story; Ctrl-C ends it
	@exec bin/monitor-testbed demo

smoke: build ## run the demo's scenarios to their end, headless
	@exec bin/monitor-testbed smoke

CHAOS ?= --for 4m
# The packages whose tests take longest begin first, so that none of them is left over at the end.
LONGEST := ./starter ./pcucontrol ./testbed/rig ./web ./activities ./testbed/cmd/monitor-testbed ./notify/rt

chaos: build ## break everything around two workers for CHAOS (--for 4m), and count what was doubled, lost or left over
	@exec bin/monitor-testbed chaos $(CHAOS)

# What the race detector would only slow down runs without it, beside the others: the scripts, which call monitor some
# hundred times, and the random lives of the pure machines.
RANDOM_LIVES := ^Test[A-Za-z]*_Random
SCRIPTS := ^(TestScripts|TestEveryStateIsExplained)
# What of starter waits longest, for servers and nodes of its own, does so beside the rest of it.
APART := ^(TestARolloutOfFiveHundredNodes|TestSetupEndsWithAMonitorThatWatches|TestSetupTakesAnInventoryOfAnsible)

# Tests and their servers may leave more garbage than usual, so that less time goes into collecting it: the smoke test's
# EveryDeath took 144 seconds of the processors and not 185. Vet is left to `make check` and CI, which ask it once.
SPEND := env GOGC=400
TEST := $(SPEND) go test -vet=off

test: build ## run every test, real ones included
	@echo "testing; much of it waits for devices and servers, so that some packages run at once ..."
	@log=$$(mktemp); trap 'kill $$(jobs -p) 2>/dev/null || :; rm -f "$$log" "$$log".*' EXIT; \
	twice() { "$$@" || { echo "once more: $$*"; "$$@"; }; }; \
	{ $(TEST) -run '$(RANDOM_LIVES)' -timeout 20m ./issue ./site ./policy ./request ./rollout ./notify && \
		twice $(TEST) -run '$(SCRIPTS)' -timeout 20m ./starter; } >"$$log.scripts" 2>&1 & scripts=$$!; \
	twice $(TEST) $(RACE) -run '$(APART)' -timeout 20m ./starter >"$$log.apart" 2>&1 & apart=$$!; \
	$(TEST) $(RACE) -p 3 -parallel 8 -timeout 20m -skip '$(SCRIPTS)|$(RANDOM_LIVES)|$(APART)' $(LONGEST) ./... 2>&1 | tee "$$log" || { \
		again=$$(sed -nE 's/^FAIL[[:space:]]+([^[:space:]]+).*/\1/p' "$$log" | sort -u); \
		[ -n "$$again" ] || exit 1; \
		echo "once more, one package after the other:" $$again; \
		$(TEST) $(RACE) -p 1 -parallel 4 -timeout 20m -skip '$(SCRIPTS)|$(RANDOM_LIVES)|$(APART)' $$again; }; \
	failed=; wait $$scripts || failed=1; wait $$apart || failed=1; \
	if [ -n "$$failed" ] || grep -q '^once more' "$$log".*; then cat "$$log".*; fi; [ -z "$$failed" ]
	@cd dev && $(TEST) ./...
	@log=$$(mktemp); trap 'rm -f "$$log"' EXIT; \
	$(SPEND) bin/monitor-testbed smoke | tee "$$log" || { \
		again=$$(sed -nE 's/^failed ([A-Za-z]+):.*/\1/p' "$$log" | paste -sd'|'); \
		[ -n "$$again" ] && ! grep -q "^broken:" "$$log" || exit 1; \
		echo "once more, without the others beside them: $$again"; \
		$(SPEND) bin/monitor-testbed smoke --run "^($$again)$$"; }
	@$(SPEND) bin/monitor-testbed chaos --for 75s --heal 4m

N ?= 20

race: ## run every test under the race detector
	@$(MAKE) --no-print-directory test RACE=-race

soak: build ## make test N (20) times in a row, beside two busy processes; no answer of a test is taken from a cache
	@trap 'kill $$(jobs -p)' EXIT; for busy in 1 2; do while :; do :; done & done; \
	for n in $$(seq $(N)); do \
		echo "== $$n of $(N) ($$(date -u +%H:%M:%S))"; GOFLAGS=-count=1 $(MAKE) --no-print-directory test || exit 1; \
	done

check: ## the inner loop: format, vet, fast tests
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$unformatted" ] || { echo "gofmt wants to change:"; echo "$$unformatted"; exit 1; }
	@go vet ./...
	@go test -short ./...

lint: ## staticcheck, and workflowcheck for what would break determinism
	@go run $(STATICCHECK) ./...
	@go run $(WORKFLOWCHECK) ./workflows/...
	@cd dev && go vet ./... && go run $(STATICCHECK) ./...

# No answer of the database is no answer about the code: it is said, and fails nothing.
vulncheck: ## look for known vulnerabilities in what is compiled in
	@if found=$$(go run $(GOVULNCHECK) ./... 2>&1); then echo "no known vulnerability is called"; \
	elif grep -q 'fetching vulnerabilities' <<<"$$found"; then echo "skipped: the vulnerability database cannot be reached"; \
	else echo "$$found"; exit 1; fi

bench: build ## measure against the old way, in the same run
	@go test ./pcucontrol ./selection -run '^$$' -bench . -benchtime 3x
	@go test ./web -run '^$$' -bench . -benchtime 100x
	@exec bin/monitor-testbed bench

FUZZTIME ?= 30s

SCREENSHOTS ?= bin/screenshots

screenshots: ## keep a picture of every page, in both themes and narrow, in SCREENSHOTS (bin/screenshots)
	@mkdir -p $(SCREENSHOTS)
	@MONITOR_SCREENSHOTS=$$(realpath $(SCREENSHOTS)) go test ./web -run '^TestScreenshots$$' -count=1
	@ls $(SCREENSHOTS)

fuzz: ## feed every parser noise, FUZZTIME (30s) each; the seeds alone are part of `make test`
	@for pkg in $$(git grep -l '^func Fuzz' -- '*_test.go' | xargs -n1 dirname | sort -u); do \
		for name in $$(grep -hoE '^func Fuzz[A-Za-z0-9]*' $$pkg/*_test.go | cut -c6-); do \
			echo "fuzzing $$pkg $$name ..."; go test ./$$pkg -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 5s; \
		done; \
	done

histories: build ## record the smoke run's histories for the replay test
	@find workflows/testdata/histories -name "*.json" ! -name "*_rules0.json" ! -name "request_*" ! -name "rollout_*" ! -name "outlet_*" ! -name "look_*" -delete
	@go test ./starter -run 'TestARolloutIsSteered|TestARequestOutlivesItsWorker|TestANodeIsLookedAtNow' -count=1 -histories $(CURDIR)/workflows/testdata/histories
	@exec bin/monitor-testbed smoke --histories workflows/testdata/histories

generate: ## write the generated Go files and their like
	@go generate ./...

docs: ## write the pages, schemas and notices that are made from the code
	@go run ./starter ladders --markdown > docs/ladders.md
	@go run ./starter ladders --gate > docs/gate.md
	@go run ./starter query --markdown > docs/select.md
	@go run ./starter inventory schema > docs/inventory.schema.json
	@go test ./access -run Page -update >/dev/null
	@go test ./metrics -run '^TestPage$$' -count=1 -update >/dev/null
	@cd dev && go run ./dashboard ../packaging/grafana/monitor.json
	@go run ./version/notices > THIRD_PARTY_NOTICES.new && mv THIRD_PARTY_NOTICES.new THIRD_PARTY_NOTICES.md || { rm -f THIRD_PARTY_NOTICES.new; exit 1; }

sbom: build ## write a software bill of materials (CycloneDX) for each program into bin/
	@for program in monitor monitor-worker monitor-testbed; do \
		go run $(CYCLONEDX) bin -json -version "$$(git describe --always --dirty)" -output bin/$$program.cdx.json bin/$$program && echo "bin/$$program.cdx.json"; \
	done

VERSION := $(shell git describe --tags --always 2>/dev/null)
COMMITTED := $(shell git log -1 --format=%ct)

# The programs of packages need nothing beside them, and hold no paths of the machine that built them.
static: ## compile the programs for release into bin/release/
	@mkdir -p bin/release
	@CGO_ENABLED=0 go build -trimpath -ldflags=-s -o bin/release/monitor ./starter
	@CGO_ENABLED=0 go build -trimpath -ldflags=-s -o bin/release/monitor-worker ./worker
	@cd dev && CGO_ENABLED=0 go build -trimpath -ldflags=-s -o ../bin/release/temporal-dev .

packages: static ## make deb and rpm packages in dist/
	@rm -rf dist
	@cd dev && go run ./packages -bin ../bin/release -out ../dist -version "$(VERSION)" -time "$(COMMITTED)"

# The packages to upgrade from: those of the last tag or, while there is none, of the last build with other tables.
OLDER ?= bin/older/dist
BEFORE = $(or $(shell git describe --tags --abbrev=0 HEAD^ 2>/dev/null),$(shell git log -1 --diff-filter=A --format=%H^ -- store/migrations))

bin/older/dist:
	@rm -rf bin/older && git clone -q --shared --no-checkout . bin/older && git -C bin/older checkout -q "$(BEFORE)"
	@$(MAKE) -C bin/older packages $(if $(filter v%,$(BEFORE)),,VERSION=v0.0.0)

package-test: packages $(OLDER) ## set Monitor up in a new Debian by the packages, heal, restore, upgrade, remove (root; fetches Debian)
	@go build -o bin/monitor-testbed ./testbed/cmd/monitor-testbed
	@packaging/test/run dist "$(OLDER)"

RELEASE = monitor-$(patsubst v%,%,$(VERSION))-linux-$(shell go env GOARCH)

release: packages ## make packages, a tarball, a bill of materials of each program, the changes and checksums in dist/
	@rm -rf dist/$(RELEASE) && mkdir -p dist/$(RELEASE)
	@cp bin/release/monitor bin/release/monitor-worker README.md CHANGELOG.md SECURITY.md LICENSE THIRD_PARTY_NOTICES.md config/monitor.sample.yaml dist/$(RELEASE)
	@cp -r docs packaging dist/$(RELEASE)
	@tar -C dist --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$(COMMITTED)" -cf - $(RELEASE) | gzip -9n > dist/$(RELEASE).tar.gz
	@rm -rf dist/$(RELEASE)
	@for program in monitor monitor-worker; do go run $(CYCLONEDX) bin -json -version "$(VERSION)" -output dist/$$program.cdx.json bin/release/$$program; done
	@awk '/^## /{n++} n==1' CHANGELOG.md > dist/CHANGES.md
	@cd dist && rm -f SHA256SUMS && find . -maxdepth 1 -type f ! -name SHA256SUMS -printf '%P\n' | sort | xargs sha256sum > ../SHA256SUMS.new && mv ../SHA256SUMS.new SHA256SUMS
	@ls dist

clean: ## remove what was built
	@rm -rf bin dist
