# make demo   the whole pipeline on sample_data/
# make test   the tests
# make leaderboard  docs/leaderboard.md; needs MovieLens-100K, see ML100K below, and Frappe beside it
# make check  what CI runs: the tests, the linters, the types, the direction of imports
PYTHON ?= python3
BIN := .venv/bin
DEMO := demo
ML100K := ../shared/data/ml-100k
METRICS := recall@10,mrr@10,ndcg@10,hit@10,precision@10

.PHONY: demo test check lint format docs leaderboard size clean
.DELETE_ON_ERROR:

demo: $(BIN)/installed
	@mkdir -p $(DEMO)
	@cd $(DEMO) && PATH="$(CURDIR)/$(BIN):$$PATH" && set -o pipefail && for model in pop itemknn ease; do \
	  echo "$$model:"; \
	  recli split ../sample_data/sample.inter | recli train --model $$model | recli recommend -k 10 | \
	  recli evaluate --metrics $(METRICS) || exit; done

# Tests start a thousand processes: each would compile our sources, where Python is told to keep no bytecode.
test: $(BIN)/installed
	@$(BIN)/python -m compileall -q recli
	$(BIN)/pytest -n auto

check: test lint

lint: $(BIN)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(BIN)/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(BIN)/installed
	$(BIN)/python tests/docs.py

leaderboard: $(BIN)/installed
	$(BIN)/python tests/leaderboard.py --data $(dir $(ML100K))

size:
	@find recli -name '*.py' | xargs wc -l | awk '$$2 != "total" {n = split($$2, p, "/"); f = n > 2 ? p[2] : "."; s[f] += $$1} END {for (f in s) print s[f], f}' | sort -rn

clean:
	rm -rf $(DEMO) .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

# The environment: made anew when what it is made from changes.
$(BIN)/installed: pyproject.toml .ci/constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c .ci/constraints.txt -e '.[dev]'
	@touch $@

SHELL := bash
