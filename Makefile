# make test, make demo: everything they need is installed into .venv-<version> first.
#   PYTHON=python3.13 make test     chooses the Python
#   HEADLESS=1 make demo            runs without a window; OUT=folder says where the results go
#   TESTS=tests/test_wheel.py make test     runs some of the tests
#   BENCH=simulator make bench      measures some of the figures

ifndef PYTHON
PYTHON := $(shell tools/find_python)
endif
export PYTHON

VERSION := $(shell "$(PYTHON)" -c "import sys; print('%d.%d' % sys.version_info[:2])" 2>/dev/null)
VENV := .venv-$(VERSION)
BIN := $(VENV)/bin
OUT ?= demo_results
TESTS ?=
BENCH ?=
LINT = $(BIN)/ruff check --quiet --output-format concise . && $(BIN)/mypy

ifeq ($(HEADLESS)$(DISPLAY)$(WAYLAND_DISPLAY),)
ifneq ($(shell uname),Darwin)
HEADLESS := 1
endif
endif

.PHONY: help python test lint demo bench faults screenshots clean

help:
	@echo "make test    set up, then run the linter, the type checker and every test"
	@echo "make demo    set up, then run a whole simulated session and print its readout"
	@echo "make lint    the linter and the type checker only"
	@echo "make bench   measure the figures that the project means to reach"
	@echo "make faults  run acquisitions in which something goes wrong, and kill 100 of them; counts what was survived"
	@echo "make screenshots   take the pictures of docs/ anew"
	@echo "make clean   remove the virtual environments and what was built"

python:
	@test -n "$(VERSION)" || { echo "No Python 3.11 to 3.13 was found$(if $(PYTHON), at $(PYTHON)); \
	install one, or name it as in PYTHON=/path/to/python3.13 make test."; exit 1; }
	@"$(PYTHON)" tools/check_system.py python

$(VENV)/%.stamp: pyproject.toml setup.py | python
	@$(BIN)/python -c "import pip" 2>/dev/null || "$(PYTHON)" -m venv --clear $(VENV)
	@echo "Installing into $(VENV) ..."
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -e ".[$(EXTRAS)]"
	@echo "Compiling the kernels, which takes about a minute ..."
	@$(BIN)/python -c "from eels_iontransport.decomposition.warm import warm; warm()"
	@touch $@

$(VENV)/run.stamp: EXTRAS = simulator,window,files
$(VENV)/dev.stamp: EXTRAS = simulator,window,files,dev
$(VENV)/bench.stamp: EXTRAS = simulator,window,files,dev,bench

lint: $(VENV)/dev.stamp
	@$(LINT)

# The tests run whatever the linter says, and their closing line comes last.
test: $(VENV)/dev.stamp
	@"$(PYTHON)" tools/check_system.py window || echo "Tests of the real window are skipped."
	@lint=passed; { $(LINT); } || lint=failed; \
	tools/with_display $(BIN)/python -m pytest $(TESTS) || exit 1; \
	test $$lint = passed || { echo "The linter or the type checker failed, see above."; exit 1; }

demo: $(VENV)/run.stamp
ifeq ($(HEADLESS),1)
	$(BIN)/eels-iontransport demo --headless --out $(OUT)
else
	@"$(PYTHON)" tools/check_system.py x11 || { echo "Without a window: HEADLESS=1 make demo."; exit 1; }
	$(BIN)/eels-iontransport demo --out $(OUT)
endif

bench: $(VENV)/bench.stamp
	$(BIN)/python -m benchmarks $(BENCH)

faults: $(VENV)/dev.stamp
	$(BIN)/python -m tests.faults

screenshots: $(VENV)/run.stamp
	@"$(PYTHON)" tools/check_system.py window
	tools/with_display $(BIN)/python tools/screenshots.py docs

clean:
	rm -rf .venv-* build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
