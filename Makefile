# make run             serve the sample application at http://127.0.0.1:8000/
# make test            everything that is checked: lint, types, tests
# make test-all        the tests with all their examples, and the core on every Python found
# make sanitize        the C functions once more, under sanitizers
# make coverage        the branches that the tests reach, room by room, against their floors
# make mutants         faults put into the core on purpose: how many the tests notice
# make docs            the site of the documents, in build/site/
# make soak            half an hour of load and chaos, reported in build/soak.md
# make dist            what is released, in dist/, checked
# The first use makes .venv; PYTHON chooses the interpreter (3.11 or later).

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Four for two cores, since many tests wait; a process that has no tests left takes from others.
PYTEST_FLAGS ?= -n 4 --dist worksteal
PYTHONS ?= python3.12 python3.13 python3.14
# Such as cpython-3.14.0, or cpython-3.14.0t without the GIL.
NAME_OF_PYTHON := 'import platform, sys; print(f"{sys.implementation.name}-{platform.python_version()}{sys.abiflags}")'
LOOP ?= tests.loops:polling
CORE := $(addprefix tests/,across http http1 codec asgi routes net wire websocket)
UNMEASURED := $(addprefix --ignore=tests/,benchmarks wheel browser fuzz faults/test_ten_thousand.py)
ROOMS ?= http1 asgi codec websocket
SAMPLE ?= 200
SEED ?= 1
MINUTES ?= 30
SOAK_MINUTES ?= 30
FUZZ_SECONDS ?= 120
FUZZ_TARGETS ?= requests connections chunks forwarded frames proxied handshakes preconditions heads values header_blocks http2_connections http2_clients

SANITIZED := build/sanitized
SANITIZERS := -fsanitize=address,undefined -fno-sanitize-recover=all -O1 -g

.PHONY: run test test-all sanitize coverage mutants wheels dist clean-dist lint format bench bench-targets bench-full flamegraph syscalls soak fuzz docs clean

run: $(VENV)/installed
	$(BIN)/katana-asgi examples.welcome:app

test: lint
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest $(PYTEST_FLAGS)

# Nothing left out on this Python; the core on another event loop, and on each of PYTHONS, in an
# environment under build/.
# PYTHONS are commands or paths. Where pyenv has a version that none of its files selects, the
# command is there and fails; PYENV_VERSION selects it.
test-all: lint
	PYTHONDONTWRITEBYTECODE= TEST_AMOUNTS=full $(BIN)/python -m pytest $(PYTEST_FLAGS)
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest $(PYTEST_FLAGS) $(CORE) --loop $(LOOP)
	@missing=; failed=; for python in $(PYTHONS); do \
		export PYENV_VERSION=$$(pyenv whence $${python##*/} 2>/dev/null | tail -n 1); \
		name=$$($$python -c $(NAME_OF_PYTHON) 2>/dev/null) || { missing="$$missing $$python"; continue; }; \
		echo "the core on $$name"; place=build/$$name; \
		$$python -m venv $$place && \
		$$place/bin/python -m pip install --quiet --upgrade 'pip>=25.1' && \
		$$place/bin/python -m pip install --quiet --editable . --group test && \
		$$place/bin/python hatch_build.py && \
		TEST_AMOUNTS=full $$place/bin/python -m pytest $(PYTEST_FLAGS) $(CORE) || failed="$$failed $$name"; \
	done; echo "not found, not tested:$${missing:- none}; failed:$${failed:- none}"; test -z "$$failed"

# The C functions under AddressSanitizer and UndefinedBehaviorSanitizer, in a tree of their own.
sanitize: $(VENV)/test
	rm -rf $(SANITIZED) && mkdir -p $(SANITIZED)
	cp -R katana_asgi tests hatch_build.py pyproject.toml $(SANITIZED)
	cd $(SANITIZED) && CC=gcc CFLAGS="$(SANITIZERS)" LDFLAGS="$(SANITIZERS)" \
		$(CURDIR)/$(BIN)/python hatch_build.py
	cd $(SANITIZED) && LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libubsan.so)" \
		ASAN_OPTIONS=detect_leaks=0 PYTHONMALLOC=malloc \
		$(CURDIR)/$(BIN)/python -m pytest -p no:cacheprovider tests/codec

# In the processes that the tests start, too. Not those that measure time, build or drive browsers.
coverage: $(VENV)/test
	rm -rf build/coverage && mkdir -p build/coverage
	TEST_AMOUNTS=few $(BIN)/coverage run -m pytest $(PYTEST_FLAGS) --timeout 300 $(UNMEASURED)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage json --quiet
	$(BIN)/python -m tests.ratchet

# A random SAMPLE of each of ROOMS, for at most MINUTES; survivors are in build/mutation/.
mutants: $(VENV)/mutants
	$(BIN)/python -m tests.mutation $(ROOMS) --sample $(SAMPLE) --seed $(SEED) --minutes $(MINUTES)

# dist/: a wheel with the C functions for this Python and machine, one without, and the sources.
wheels: $(VENV)/release
	KATANA_ASGI_NATIVE=1 $(BIN)/python -m hatchling build --target=wheel --directory=dist
	KATANA_ASGI_NATIVE=0 $(BIN)/python -m hatchling build --target=wheel --target=sdist --directory=dist

# The same, checked: metadata, then each file is installed into an empty environment and serves.
dist: clean-dist wheels
	$(BIN)/python -m twine check --strict dist/*
	$(BIN)/python -m tests.wheel.check_dist dist

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

# Good and bad clients while workers are killed, reloaded and upgraded; status 1 where it matters.
soak: $(VENV)/test
	mkdir -p build
	$(BIN)/python -m benchmarks.endurance --minutes $(SOAK_MINUTES) --report build/soak.md

# Finds what the tests do not: FUZZ_SECONDS for each target, findings go to tests/fuzz/corpus.
fuzz: $(VENV)/fuzz
	for target in $(FUZZ_TARGETS); do \
		$(BIN)/python -m tests.fuzz $$target $(FUZZ_SECONDS) || exit 1; \
	done

# The generated pages, then the site in build/site/; a link that leads nowhere is an error.
docs: $(VENV)/test
	$(BIN)/python -m katana_asgi.config.reference > docs/reference/settings.md
	$(BIN)/python -m katana_asgi.config.switching > docs/switching.md
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

clean-dist:
	rm -rf dist

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .fuzz

$(VENV)/installed: pyproject.toml hatch_build.py $(wildcard katana_asgi/codec/*.[ch])
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/test: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --group test --group lint
	touch $@

$(VENV)/release: $(VENV)/test
	$(BIN)/python -m pip install --quiet --group release
	touch $@

$(VENV)/mutants: $(VENV)/test
	$(BIN)/python -m pip install --quiet --group mutants
	touch $@

$(VENV)/fuzz: $(VENV)/test
	$(BIN)/python -m pip install --quiet --group fuzz
	touch $@

$(VENV)/bench: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --group bench
	touch $@
