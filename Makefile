# The front door for people. Meson and Ninja do the building behind it, in one
# tree per variant under build/ (tools/build knows the variants).
SHELL := /bin/bash
.DEFAULT_GOAL := release
MAKEFLAGS += --no-print-directory

PREFIX ?= /usr/local
# Not Meson's guess: without dpkg-dev that is lib64, where Debian's loader does not look.
LIBDIR ?= lib
DESTDIR ?=

.PHONY: release
release: deps-build ## build liblinnet.a, liblinnet.so and linnet into build/release
	@tools/build release

.PHONY: run
run: release ## start `linnet serve` on 127.0.0.1:8080 (ARGS="--listen :9000" and the like)
	@exec build/release/linnet serve $(ARGS)

.PHONY: test
test: deps-build deps-test ## run everything (ONLY='e2e/*': some); ends with `N passed, N failed`
	@tools/run-tests $(foreach pattern,$(ONLY),--only '$(pattern)')

.PHONY: check
check: deps-build deps-test ## before a commit: format, floors, symbols, flags, unit tests, coverage
	@tools/run-tests --list tests/steps.check

.PHONY: asan
asan: deps-build deps-test ## the tests again under address and undefined behaviour sanitizers
	@tools/run-tests --only 'asan/*' --only '*-asan/*'

.PHONY: tsan
tsan: deps-build deps-test ## the tests again under the thread sanitizer
	@tools/run-tests --list tests/steps.tsan

.PHONY: cover
cover: deps-build deps-test ## lines of each file run by its own test, then by all
	@tools/cover

.PHONY: tidy
tidy: deps-build deps-test ## clang-tidy, gcc -fanalyzer and cppcheck
	@tools/install-deps tidy
	@tools/tidy

.PHONY: docs
docs: deps-build deps-test release ## reference and man pages; every code block compiled or run
	@tools/docs

.PHONY: conformance
conformance: deps-build deps-test ## RFC 6455 and 7692, server and client (FULL=1, CASE=6.4.3, GROUP=12)
	@FULL=$(FULL) CONFORMANCE='$(if $(CASE),--case $(CASE)) $(if $(GROUP),--group $(GROUP))' \
	  tools/run-tests --list tests/steps.conformance

.PHONY: threats
threats: deps-build deps-test release ## the hostile rows (FULL=1: times, memory, large numbers; ROW=T035)
	@tests/threats/run $(if $(FULL),--full) $(if $(ROW),--only $(ROW))

.PHONY: bench
bench: release ## measure against the peers; prints the goals (QUICK=1, ONLY='fan-out*', REPS=9)
	@tools/install-deps bench
	@bench/run $(foreach pattern,$(ONLY),--only '$(pattern)') $(if $(REPS),--reps $(REPS))

.PHONY: oom
oom: deps-build deps-test ## the n-th allocation fails, for every n (FULL=1: all of them, and under asan)
	@tools/alloc-fail $(if $(FULL),--full) $(T)

.PHONY: sim
sim: deps-build deps-test ## whole nodes in virtual time: N= seeds from SEED= on (1,000 from 1); PLANTS=1: planted bugs
ifdef PLANTS
	@tools/run-tests --only 'sim/finds*'
else
	@tools/build release tests/sim/sim >/dev/null
	@build/release/tests/sim/sim --seed $(or $(SEED),1) --count $(or $(N),$(if $(SEED),1,1000)) \
		$(if $(WITHOUT),--without $(WITHOUT)) $(if $(CLIENTS),--clients $(CLIENTS)) \
		$(if $(EVENTS),--events $(EVENTS)) $(if $(TRACE),--trace)
endif

.PHONY: history
history: deps-build deps-test release ## real processes and faults, clients' logs checked: SEED=7 TIME=600 (FULL=1: the checkers' own tests)
	@$(if $(FULL),tests/history/selftest --full && tests/history/selftest --speed &&) \
	  tests/history/run --seed $(or $(SEED),1) --time $(or $(TIME),120)

.PHONY: fuzz
fuzz: deps-build deps-test ## libFuzzer: T=utf8 S=60, without T all must be found
	@tools/fuzz $(if $(PLANTS),--plants,$(or $(T),all) $(S))

.PHONY: install
install: release ## install under DESTDIR= and PREFIX=
	@meson configure build/release --prefix '$(PREFIX)' --libdir '$(LIBDIR)'
	@DESTDIR='$(if $(DESTDIR),$(abspath $(DESTDIR)))' meson install -C build/release --quiet
	@if [ -z '$(DESTDIR)' ] && [ "$$(id -u)" = 0 ]; then ldconfig; fi
	@echo 'installed under $(DESTDIR)$(PREFIX)'

.PHONY: clean
clean: ## remove what was built (installed npm packages stay)
	rm -rf build

.PHONY: deps-build deps-test
deps-build:
	@tools/install-deps build
deps-test:
	@tools/install-deps test

.PHONY: help
help: ## this list
	@echo 'make TARGET, where TARGET is'
	@sed -nE 's/^([a-z]+):.*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) \
	  | awk -F'\t' '{ printf "  %-12s %s\n", $$1, $$2 }'
