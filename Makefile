# kf_spawner's commands. `make run` and `make test` do all their own set-up.
HOME_DIR ?= .home
PORT ?= 8000
ROUNDS ?= 10
JOBS ?= 3
VENV := .venv
BIN := $(VENV)/bin
NODE := scripts/node $(VENV)
PRETTIER_FILES := 'kf_spawner/**/*.{js,css}' '*.{js,json}'
SPAWNED := hub door tensorflow-2.21.0-notebook-cpu

# Tests start hundreds of our processes. Without this, each compiles the package again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help run test test-faults cluster cluster-down test-cluster check format lock chart docs reference browser-types dist
.PHONY: images clean
.PHONY: check-format check-lint check-types check-layers check-shell check-javascript
.PHONY: bench bench-door bench-large-job bench-operator bench-proxy bench-spawn run-venv test-venv

help: ## this list
	@awk -F ': .*## ' '/^[a-z-]+:.* ## / { name = $$1; sub(/^[^#]*## /, ""); printf "make %-14s %s\n", name, $$0 }' Makefile

run-venv:
	@scripts/setup $(VENV) requirements/run.txt

test-venv:
	@scripts/setup $(VENV) requirements/test.txt

run: run-venv ## start everything here and print the link [HOME_DIR=.home] [PORT=8000] [ARGS='--password-file FILE']
	@exec $(BIN)/kf-spawner up --home "$(HOME_DIR)" --port $(PORT) $(ARGS)

test: test-venv ## run all tests, JOBS rooms at a time; ARGS go to pytest [JOBS=3] [ARGS='tests/tfjob -x']
	@scripts/test-machine
	@$(BIN)/python -m tests.fixtures.programs
	@exec $(BIN)/python -m pytest -n $(JOBS) --dist loadscope --no-loadscope-reorder $(ARGS)

test-faults: test-venv ## kill every component many times while jobs run [ROUNDS=10]
	@$(BIN)/python -m tests.fixtures.programs
	@exec env KF_FAULT_ROUNDS=$(ROUNDS) $(BIN)/python -m pytest -m faults $(ARGS)

cluster: test-venv ## start a whole Kubernetes cluster on this machine, for tests (root; Debian)
	@exec $(BIN)/python -m tests.cluster up

cluster-down: test-venv ## remove the clusters of tests and everything that belongs to them
	@$(BIN)/python -m tests.cluster --home .cluster-faults down
	@exec $(BIN)/python -m tests.cluster down

test-cluster: test-venv ## run the tests that need a cluster: on our own, or on the one named [CLUSTER=kubeconfig]
	@scripts/test-machine
	@$(BIN)/python -m tests.fixtures.helm
ifdef CLUSTER
	@exec scripts/test-parts $(BIN) $(ARGS)
else
	@$(if $(ARGS),:,$(MAKE) --no-print-directory images)
	@$(BIN)/python -m tests.cluster up
	@$(MAKE) --no-print-directory .cluster/plain.tar
	@$(BIN)/python -m tests.cluster load .cluster/plain.tar $$(ls -d .images/*.tar 2>/dev/null)
	@exec scripts/test-parts $(BIN) $(ARGS)
endif

.cluster/plain.tar: tests/node/plain_image.py tests/node/pods.py tests/cluster/archive.py tests/cluster/debian.py
	@$(BIN)/python -m tests.node.plain_image $@

check: check-format check-lint check-types check-layers check-shell check-javascript ## check format, lint, types, layers, shell scripts and JavaScript

# Each of these is also a hook of .pre-commit-config.yaml.
check-format: test-venv
	@$(BIN)/ruff format --check -q .
	@$(NODE) prettier --check --log-level warn $(PRETTIER_FILES)

check-lint: test-venv
	@$(BIN)/ruff check -q .

check-types: test-venv
	@$(BIN)/mypy

check-layers: test-venv
	@$(BIN)/lint-imports

check-shell: test-venv
	@git ls-files -s | awk '/^100755/ { print $$4 }' | xargs awk 'FNR == 1 && /^#!.*sh$$/ { print FILENAME }' | xargs $(BIN)/shellcheck

check-javascript: test-venv
	@$(NODE) eslint kf_spawner
	@$(NODE) tsc

format: test-venv ## format Python, JavaScript and CSS, and fix what the linters can fix
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .
	@$(NODE) eslint --fix kf_spawner
	@$(NODE) prettier --write --log-level warn $(PRETTIER_FILES)

lock: ## pin the newest versions that setup.py and package.json allow
	@scripts/lock

chart: test-venv ## regenerate the chart's schema, page of values and copies
	@$(BIN)/python helm/generate.py

dist: test-venv ## build wheel, sdist and the control plane's wheel into dist/ [ARCHES='amd64 arm64']
	@$(BIN)/python -m scripts.release $(ARCHES)

docs: test-venv ## build the pages of docs/ as a site in build/docs; a warning is an error
	@$(BIN)/python -m sphinx -q -W --keep-going docs build/docs
	@echo "build/docs/index.html"

reference: test-venv ## regenerate docs/settings.md and docs/notebook-api.md from the code
	@$(BIN)/python docs/generate.py

browser-types: test-venv ## regenerate the browser's types of the dashboard's JSON from the code
	@$(BIN)/python -m scripts.browser_types

bench: test-venv ## measure starts and memory, as in docs/benchmarks.md
	@$(BIN)/python -m benchmarks.startup

bench-spawn: test-venv ## measure Start to ready server, on our node and on a real kubelet (root) [ARGS='--rounds 5']
	@$(BIN)/python -m tests.cluster up
	@$(BIN)/python -m tests.cluster load $(foreach name,$(SPAWNED),.images/$(name).tar)
	@exec $(BIN)/python -m tests.cluster run -- $(abspath $(BIN))/python -m benchmarks.spawn_to_ready $(ARGS)

bench-operator: test-venv ## measure the operator beside the Go operator and the limit [ARGS='--jobs 1,10,100,1000']
	@exec $(BIN)/python -m benchmarks.operator $(ARGS)

bench-proxy: test-venv ## measure the hub's proxy beside configurable-http-proxy [ARGS='--rounds 10']
	@exec $(BIN)/python -m benchmarks.proxy $(ARGS)

bench-door: test-venv ## measure what the door adds to a prediction, and what it costs the hub [ARGS='--rounds 5']
	@exec $(BIN)/python -m benchmarks.door $(ARGS)

bench-large-job: test-venv ## measure one user's large job beside another's small ones [ARGS='--replicas 1500']
	@exec $(BIN)/python -m benchmarks.large_job $(ARGS)

images: run-venv ## build the container images into .images/ [ONLY="hub …"] [BASE=…]
	@exec $(BIN)/python -m scripts.images $(if $(BASE),--base $(BASE)) $(ONLY)

clean: ## remove what make made in this folder, but not .home, which holds users' files
	rm -rf $(VENV) .images build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
