# Everything a person needs; each verb installs what it lacks (scripts/setup.sh) and works in a fresh clone.
PREFIX ?=
JUPYTER ?= 1
BUNDLE ?=
CHECK ?=
PYTEST ?= .venv/bin/python -m pytest
WORKERS ?= 3

.PHONY: help demo test soak lint bench install bundle screenshots docs clean

help: ## list the verbs
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

demo: ## see the form, make a kernel, run a cell: prints the address (CHECK=1: drives it all and ends)
	@scripts/setup.sh
	@scripts/install.sh .runtime
	@.venv/bin/python -m portal.demo $(if $(CHECK),--check)

test: ## lint, then every test
	@scripts/setup.sh
	@$(MAKE) --no-print-directory lint
	$(PYTEST) -m "not soak" -n $(WORKERS) --dist loadfile --no-loadscope-reorder || \
	  { echo "== what failed beside others, once more alone:"; $(PYTEST) -m "not soak" --last-failed --last-failed-no-failures none; }

soak: ## the long series: kills, outages, thousands of messages
	@scripts/setup.sh
	$(PYTEST) -m soak --timeout=3600

lint: ## ruff, mypy, shellcheck
	@scripts/setup.sh
	.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy
	git ls-files -z '*.sh' bin/kernelwright .ci/run ':!tests/kernels' | xargs -0 shellcheck

bench: ## the figures of docs/reference/benchmarks.md
	@scripts/setup.sh
	.venv/bin/python benchmarks/all.py

install: ## make or upgrade the runtime: make install PREFIX=DIR [JUPYTER=0] [BUNDLE=file]
	@test -n "$(PREFIX)" || { echo "usage: make install PREFIX=DIR [JUPYTER=0] [BUNDLE=file]" >&2; exit 2; }
	@JUPYTER=$(JUPYTER) BUNDLE="$(BUNDLE)" scripts/install.sh "$(PREFIX)"

bundle: ## one tarball of wheels and a Python, for machines without network
	@scripts/bundle.sh

screenshots: ## take the pictures of docs/images again
	@scripts/setup.sh
	@scripts/install.sh .runtime
	.venv/bin/python -m portal.screenshots

docs: ## build the documentation into site/
	@scripts/setup.sh
	NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict --quiet

clean: ## remove what make made
	rm -rf .venv .runtime .demo .cache site dist
