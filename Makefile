# Every target works in a fresh checkout: the environment is made when it is missing.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: check test chat docs lint bench
.DEFAULT_GOAL := check

$(BIN)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

lint: $(BIN)/.ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports

test: $(BIN)/.ready
	$(BIN)/python -m pytest -n 4 --dist loadfile

check: lint
	$(BIN)/python -m pytest --cov -n 4 --dist loadfile
	$(BIN)/coverage report --include='pipeline/core/*,operators/*' --fail-under=95

chat: $(BIN)/.ready
	$(BIN)/python main.py

docs: $(BIN)/.ready
	PYTHONPATH=. $(BIN)/python docs/generate.py
