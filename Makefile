# kf_spawner's commands. `make run` and `make test` do all their own set-up.
HOME_DIR ?= .home
PORT ?= 8000
ROUNDS ?= 10
JOBS ?= 2
VENV := .venv
BIN := $(VENV)/bin
SPAWNED := hub door tensorflow-2.21.0-notebook-cpu

.PHONY: help run test test-faults cluster cluster-down test-cluster check format lock bench bench-operator bench-spawn images clean chart docs reference

help:
	@echo "make run    [HOME_DIR=.home] [PORT=8000] [ARGS='--password-file FILE']  start everything here and print the link"
	@echo "make test   [ARGS=...] [JOBS=2]           run all tests (ARGS go to pytest), JOBS files at a time"
	@echo "make test-faults [ROUNDS=10]              kill every component many times while jobs run"
	@echo "make cluster                              a whole Kubernetes cluster on this machine, for tests (root; Debian)"
	@echo "make cluster-down                         nothing of it is left"
	@echo "make test-cluster [CLUSTER=kubeconfig]    the tests that want a cluster: there, or on the one named"
	@echo "make check                                format, lint, types and the walls between rooms"
	@echo "make bench                                starts and memory in docs/benchmarks.md, measured again"
	@echo "make bench-spawn [ARGS='--rounds 5']      Start to ready server: on our local node, and on a real kubelet (root)"
	@echo "make bench-operator [ARGS='--jobs 1,10,100,1000']  the operator's, beside the Go operator and the limit"
	@echo "make images [ONLY=\"hub …\"] [BASE=…]      build the container images into .images/"
	@echo "make chart                                the chart's schema, page of values and copies, made again"
	@echo "make docs                                 the pages of docs/ as a site in build/docs; a warning is an error"
	@echo "make reference                            docs/settings.md and docs/notebook-api.md, made again from the code"
	@echo "make clean                                remove what make made in this folder, but not .home: that holds users' files"

run:
	@scripts/setup $(VENV) requirements/run.txt
	@exec $(BIN)/kf-spawner up --home "$(HOME_DIR)" --port $(PORT) $(ARGS)

test:
	@scripts/setup $(VENV) requirements/test.txt
	@scripts/test-machine
	@$(BIN)/python -m tests.fixtures.programs
	@exec $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

test-faults:
	@scripts/setup $(VENV) requirements/test.txt
	@$(BIN)/python -m tests.fixtures.programs
	@exec env KF_FAULT_ROUNDS=$(ROUNDS) $(BIN)/python -m pytest -m faults $(ARGS)

cluster:
	@scripts/setup $(VENV) requirements/test.txt
	@exec $(BIN)/python -m tests.cluster up

cluster-down:
	@scripts/setup $(VENV) requirements/test.txt
	@exec $(BIN)/python -m tests.cluster down

test-cluster:
	@scripts/setup $(VENV) requirements/test.txt
	@scripts/test-machine
	@$(BIN)/python -m tests.fixtures.helm
ifdef CLUSTER
	@exec scripts/test-parts $(BIN) $(ARGS)
else
	@$(if $(ARGS),:,$(MAKE) --no-print-directory images)
	@$(BIN)/python -m tests.cluster up
	@$(MAKE) --no-print-directory .cluster/plain.tar
	@$(BIN)/python -m tests.cluster load .cluster/plain.tar $$(ls -d .images/*.tar 2>/dev/null)
	@exec $(BIN)/python -m tests.cluster run -- scripts/test-parts $(abspath $(BIN)) $(ARGS)
endif

.cluster/plain.tar: tests/node/plain_image.py tests/node/pods.py tests/cluster/archive.py tests/cluster/debian.py
	@$(BIN)/python -m tests.node.plain_image $@

check:
	@scripts/setup $(VENV) requirements/test.txt
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format:
	@scripts/setup $(VENV) requirements/test.txt
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lock:
	@scripts/lock

chart:
	@scripts/setup $(VENV) requirements/test.txt
	@$(BIN)/python helm/generate.py

docs:
	@scripts/setup $(VENV) requirements/test.txt
	@$(BIN)/python -m sphinx -q -W --keep-going docs build/docs
	@echo "build/docs/index.html"

reference:
	@scripts/setup $(VENV) requirements/test.txt
	@$(BIN)/python docs/generate.py

bench:
	@scripts/setup $(VENV) requirements/test.txt
	@$(BIN)/python -m benchmarks.startup

bench-spawn:
	@scripts/setup $(VENV) requirements/test.txt
	@$(BIN)/python -m tests.cluster up
	@$(BIN)/python -m tests.cluster load $(foreach name,$(SPAWNED),.images/$(name).tar)
	@exec $(BIN)/python -m tests.cluster run -- $(abspath $(BIN))/python -m benchmarks.spawn_to_ready $(ARGS)

bench-operator:
	@scripts/setup $(VENV) requirements/test.txt
	@exec $(BIN)/python -m benchmarks.operator $(ARGS)

images:
	@scripts/setup $(VENV) requirements/run.txt
	@exec $(BIN)/python -m scripts.images $(if $(BASE),--base $(BASE)) $(ONLY)

clean:
	rm -rf $(VENV) .images build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
