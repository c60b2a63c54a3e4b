# Everything that a person types. `make` alone lists it.
#
#   ARGS='-k drain'     more arguments for pytest                (make test)
#   RUN='COMMAND'       one command in the lab; make says 2 where it fails (make lab)
#   KEEP=1              leave the demo's lab open at its end     (make demo)
#   JOBS=1000           so many jobs; HOSTS, WORKERS, GRACE, too (make endurance)
#   STACK=staging       the stack; the selected one without it   (make keys, import)
#   ROTATE=begin|end    one half of a login key's rotation       (make keys)
#   DEPLOY_KEY=1        a key that reads the repository, too     (make keys)
#   FROM=heroku.yml     the file, or - for standard input        (make import)
#   ENVIRONMENT=staging which of its environments                (make import)
#   OVERWRITE=1         its values win over the stack's          (make import)
#   DRY_RUN=1           only say what would be done              (make import)
#   QUICK=1             few rounds, whatever else runs here      (make bench-peers)
#   ROUNDS=2            so many of them; 5, or 2 if QUICK        (make bench-peers)
#   PYTHON=python3.12   the interpreter to build with            (all)

.DEFAULT_GOAL := help
.PHONY: help setup setup-lint setup-command keys import lint test demo endurance lab docs bench bench-peers pictures lock clean
# as typed: a $ in them is the shell's, not make's
override ARGS := $(value ARGS)
override RUN := $(value RUN)
export ARGS RUN KEEP PYTHON STACK ROTATE FROM ENVIRONMENT ROUNDS
MAKEFLAGS += --no-print-directory
SHELL := /bin/bash
python := .venv/bin/python
run := source scripts/common.sh && exec $(python)

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## make this machine ready; quick when it is
	@scripts/setup

setup-lint: ## the part of it that needs no machines
	@scripts/setup --no-base

setup-command: ## what deploying needs alone: the `satellite` command in .venv
	@scripts/setup --command

demo: setup ## two machines, real jobs, a deploy while they run
	@$(run) -m lab run -- $(python) -m demo

endurance: setup ## 10,000 jobs while all that a deployer does happens to their workers
	@$(run) -m lab run -- $(python) -m endurance

test: setup ## lint, types, and every test, the lab's included
	@scripts/test

keys: setup-command ## make the keys that a stack lacks, or rotate its login key
	@$(python) -m satellite_stack.keys --stack "$$STACK" --rotate "$$ROTATE" $(if $(DEPLOY_KEY),--deploy-key)

import: setup-command ## a heroku.yml, or what heroku config --json prints, as config vars
	@$(python) -m satellite_stack.import_heroku --from "$$FROM" --stack "$$STACK" --environment "$$ENVIRONMENT" \
		$(if $(OVERWRITE),--overwrite) $(if $(DRY_RUN),--dry-run)

lint: setup-lint ## ruff, mypy --strict, shellcheck, actionlint, go vet
	@scripts/lint

lab: setup ## a shell (or RUN='COMMAND') among emulated EC2 machines
	@if [ -n "$$RUN" ]; then $(run) -m lab run -- bash -c "$$RUN"; else $(run) -m lab shell; fi

docs: setup-lint ## write the reference of settings and the example from the code
	@$(python) -m scripts.reference

bench: setup-lint ## measure stacks of 1 to 100 simulated hosts; writes docs/benchmarks
	@$(python) -m benchmarks.hosts

bench-peers: setup ## measure satellite beside other deploy tools on 1, 4 and 10 hosts; writes docs/benchmarks
	@SATELLITE_PEERS=$$(benchmarks/peers/setup) && export SATELLITE_PEERS && \
		$(run) -m lab run -- $(python) -m benchmarks.peers $(if $(QUICK),--quick) \
		$(if $(ROUNDS),--rounds "$$ROUNDS")

pictures: setup ## what the command prints, as pictures; writes docs/pictures
	@$(run) -m lab run -- $(python) -m scripts.pictures

lock: setup-lint ## pin the dependencies of requirements*.in anew
	@scripts/lock

clean: ## remove what was made in this folder (the cache stays)
	@rm -rf .venv policy/.venv .mypy_cache .pytest_cache .ruff_cache .hypothesis build *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
