# The one task runner: the same names on a desk and in CI. Each target first sees to `.venv`, so that a fresh
# clone needs only Python 3.11+, make and a package registry. `make help` lists the targets.

BIN := .venv/bin
# The environment fits as long as what it was made from and where it lies are unchanged; the name of its stamp
# says so, so that neither a switched branch nor a copied folder goes unnoticed.
KEY := $(shell { pwd; cat pyproject.toml constraints.txt; } | cksum | tr ' ' '-')
STAMP := .venv/installed-$(KEY)

.DEFAULT_GOAL := help
.PHONY: help setup lock test test-slow cover lint types bench demo docs check clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## make .venv and install Clew with its tools (the other targets do it by themselves)

$(STAMP):
	@sh .ci/make-venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@rm -f .venv/installed-* && touch $@

lock: ## refresh constraints.txt with the newest releases that pyproject.toml allows
	@rm -rf out/lock && mkdir -p out && sh .ci/make-venv out/lock
	out/lock/bin/python -m pip install --quiet --editable '.[dev]'
	@sh .ci/freeze out/lock > out/constraints.txt && mv out/constraints.txt constraints.txt && rm -rf out/lock

test: $(STAMP) ## run the quick tests
	$(BIN)/python -m pytest --numprocesses auto

test-slow: $(STAMP) ## run the slow tests: real processes, long simulations, many random examples
	$(BIN)/python -m pytest -m slow
	$(BIN)/python -m pytest tests/kernel --hypothesis-profile thorough

cover: $(STAMP) ## fail unless tests/kernel covers every branch of clew.kernel
	$(BIN)/python -m pytest tests/kernel --cov clew.kernel --cov-branch --cov-report term-missing --cov-fail-under 100

lint: $(STAMP) ## check style, formatting and the arrows between packages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo

types: $(STAMP) ## check types
	$(BIN)/basedpyright

bench: $(STAMP) ## measure against the floors (docs/benchmarks.md)
	$(BIN)/python -m benchmarks

demo: $(STAMP) ## audit the standard library (out/audit.html), summarise our documents (out/articles), rehearse a release
	@mkdir -p out
	$(BIN)/clew run examples/audit/graph.py --id demo --anew --db out/clew.db \
	  --input path="$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" \
	  --input out=out/audit.html
	$(BIN)/clew run examples/article/articles.py --id articles --anew --db out/clew.db \
	  --input folder=docs --input out=out/articles
	$(BIN)/python examples/release/rehearse.py out/release

docs: $(STAMP) ## run the code of the documents and check that they are complete
	$(BIN)/python -m pytest tests/docs tests/test_tidy.py

# `docs` is part of `test`; pytest's summary of the whole suite comes last.
check: lint types cover test ## all that CI does

clean: ## remove what the other targets leave behind, except .venv
	rm -rf out build dist .coverage .coverage.* .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests examples benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
