# make run             serve the sample application at http://127.0.0.1:8000/
# make test            everything that is checked: lint, types, tests
# make test-compiled   the tests once more, against a compiled request path
# The first use makes .venv; PYTHON chooses the interpreter (3.11 or later).

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST_FLAGS ?= -n 2
FUZZ_SECONDS ?= 120
FUZZ_TARGETS ?= requests connections chunks forwarded frames proxied handshakes preconditions

COMPILED := build/compiled

.PHONY: run test test-compiled lint format bench bench-targets bench-full flamegraph syscalls fuzz docs clean

run: $(VENV)/installed
	$(BIN)/katana-asgi examples.welcome:app

test: lint
	$(BIN)/python -m pytest $(PYTEST_FLAGS)

# In a tree where the sources are not: what is installed is what is imported.
test-compiled:
	rm -rf $(COMPILED)
	$(PYTHON) -m venv $(COMPILED)/venv
	$(COMPILED)/venv/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	KATANA_ASGI_COMPILE=1 $(COMPILED)/venv/bin/python -m pip install --quiet . --group test
	mkdir $(COMPILED)/tree
	cp -R benchmarks docs examples tests *.md *.py pyproject.toml Makefile $(COMPILED)/tree
	cd $(COMPILED)/tree && ../venv/bin/python -m pytest $(PYTEST_FLAGS) \
		--ignore=tests/structure --ignore=tests/wheel

lint: $(VENV)/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/bench
	$(BIN)/python -m benchmarks quick

# About forty minutes; what it finds goes into README.md and docs/performance.md.
bench-targets: $(VENV)/bench
	$(BIN)/python -m benchmarks targets
	$(BIN)/python -m benchmarks publish benchmarks/results/targets.json

bench-full: $(VENV)/bench
	$(BIN)/python -m benchmarks full

flamegraph: $(VENV)/bench
	$(BIN)/python -m benchmarks.profile flamegraph

syscalls: $(VENV)/bench
	$(BIN)/python -m benchmarks.profile syscalls

# Finds what the tests do not: FUZZ_SECONDS for each target, findings go to tests/fuzz/corpus.
fuzz: $(VENV)/fuzz
	for target in $(FUZZ_TARGETS); do \
		$(BIN)/python -m tests.fuzz $$target $(FUZZ_SECONDS) || exit 1; \
	done

docs: $(VENV)/installed
	$(BIN)/python -m katana_asgi.config.reference > docs/reference/settings.md

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .fuzz

$(VENV)/installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/test: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --group test --group lint
	touch $@

$(VENV)/fuzz: $(VENV)/test
	$(BIN)/python -m pip install --quiet --group fuzz
	touch $@

$(VENV)/bench: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --group bench
	touch $@
