# make demo    build a C extension for every CPython found here, fuse the wheels, audit and verify the result
# make demo-cuda  the same for csrc, the reference extension: with nvcc and torch, for CPython 3.10 to 3.13
# make test    all tests
# make lint    ruff and mypy
# make bench   run wheelfuse beside its peers (BENCH_OPTIONS: cases, --times N; see python -m bench --help)
# make fuzz    try damaged and hostile inputs, drawn and led by coverage (FUZZ_SECONDS=60 for each target; FUZZ_TARGETS)
# make docs    write the pages of docs/reference that come from the code: commands, rules, JSON, Python API
# make site    write the documentation as a site to site/
# make distributions  build the sdist and the wheel into dist/, check both, install the wheel and try it
# make clean   remove everything that make wrote
# Each target sets up what it needs in .venv; PYTHON chooses the CPython (3.10 or newer) that .venv is made with.
PYTHON ?= python3
VENV := .venv
FUZZ_SECONDS ?= 60
comma := ,
CUDA = $(if $(shell command -v nvcc),,$(comma)cuda)

.PHONY: demo demo-cuda test lint bench fuzz docs site distributions clean

demo: $(VENV)/.ready-for-demo
	@$(VENV)/bin/python -m tools.demo

demo-cuda: $(VENV)/.ready-for-cuda
	@$(VENV)/bin/python -m tools.demo cuda

test: $(VENV)/.ready-for-test
	@$(VENV)/bin/python -m pytest -n auto $(PYTEST_OPTIONS)

lint: $(VENV)/.ready-for-test
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

bench: $(VENV)/.ready-for-test
	@$(VENV)/bin/python -m bench $(BENCH_OPTIONS)

fuzz: $(VENV)/.ready-for-fuzz
	@$(VENV)/bin/python -m fuzz --guided --seconds $(FUZZ_SECONDS) --results fuzz/results/guided.json $(FUZZ_TARGETS) & \
	$(VENV)/bin/python -m fuzz --seconds $(FUZZ_SECONDS) $(FUZZ_TARGETS); drawn=$$?; wait $$! && exit $$drawn

docs: $(VENV)/.ready-for-demo
	@$(VENV)/bin/python -m tools.pages

site: $(VENV)/.ready-for-test
	@NO_MKDOCS_2_WARNING=1 $(VENV)/bin/python -m mkdocs build --strict --quiet
	@echo site/index.html

distributions: $(VENV)/.ready-for-release
	@rm -rf dist
	@tools/distributions.sh $(VENV)/bin/python dist

$(VENV)/.ready-for-demo: pyproject.toml tools/set-up.sh
	@tools/set-up.sh '$(PYTHON)' $(VENV) --editable '.[build]'
	@touch $@

$(VENV)/.ready-for-cuda: $(VENV)/.ready-for-demo
	@tools/set-up.sh '$(PYTHON)' $(VENV) --editable '.[build$(CUDA)]' $$($(VENV)/bin/python -c 'from tools.demo import TORCH; print(TORCH)') numpy
	@touch $@

$(VENV)/.ready-for-test: pyproject.toml tools/set-up.sh
	@tools/set-up.sh '$(PYTHON)' $(VENV) --editable '.[test,bench,docs]'
	@touch $@ $(VENV)/.ready-for-demo

$(VENV)/.ready-for-release: pyproject.toml tools/set-up.sh
	@tools/set-up.sh '$(PYTHON)' $(VENV) --editable '.[release]'
	@touch $@

$(VENV)/.ready-for-fuzz: $(VENV)/.ready-for-test
	@tools/set-up.sh '$(PYTHON)' $(VENV) --editable '.[test,fuzz]'
	@touch $@

clean:
	rm -rf $(VENV) demo dist build site .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find wheelfuse tests fixtures tools bench fuzz -name __pycache__ -type d -prune -exec rm -rf {} +
