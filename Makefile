# make demo    fuse the example wheels, install the result on every CPython found here, import it
# make test    all tests
# make lint    ruff and mypy
# make docs    write docs/rules.md from the rules of the audit
# make clean   remove everything that make wrote
# Each target sets up what it needs in .venv; PYTHON chooses the CPython (3.10 or newer) that .venv is made with.
PYTHON ?= python3
VENV := .venv

.PHONY: demo test lint docs clean

demo: $(VENV)/.ready-for-demo
	@$(VENV)/bin/python -m tools.demo

test: $(VENV)/.ready-for-test
	@$(VENV)/bin/python -m pytest -n auto $(PYTEST_OPTIONS)

lint: $(VENV)/.ready-for-test
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

docs: $(VENV)/.ready-for-demo
	@$(VENV)/bin/python -m tools.rule_page

$(VENV)/.ready-for-demo: pyproject.toml tools/set-up.sh
	@tools/set-up.sh '$(PYTHON)' $(VENV) --editable . 'uv>=0.8'
	@touch $@

$(VENV)/.ready-for-test: pyproject.toml tools/set-up.sh
	@tools/set-up.sh '$(PYTHON)' $(VENV) --editable '.[test]'
	@touch $@ $(VENV)/.ready-for-demo

clean:
	rm -rf $(VENV) demo dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find wheelfuse tests fixtures tools -name __pycache__ -type d -prune -exec rm -rf {} +
