# make train   sets up, trains the default experiment, prints the per-actor report
# make test    sets up, passes the tests
# make check   lint, types, import contract;  make test-slow: the long tests;  make smoke: a small training by the command line
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin

# The editable install links file by file, so it is stale when a file comes or goes: the stamp's name tells.
ROOMS  := configs data models train
FILES  := $(shell find $(ROOMS) -type f -not -path '*/__pycache__/*' | LC_ALL=C sort | cksum | cut -d' ' -f1)
READY  := $(VENV)/.installed-$(FILES)

.PHONY: train test test-slow check smoke setup clean

train: setup
	$(BIN)/tristance train configs/base.yaml

test: setup
	$(BIN)/python -m pytest -q -n 2 --dist loadfile

# the trackers, the web page's server and Ray come only here: with them the environment takes twice as long to make
test-slow: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[demo,ray,tracking]'
	$(BIN)/python -m pytest -q -m slow
	$(BIN)/python -m pytest -q tests/train/test_tracking.py tests/train/test_demo.py tests/train/test_cluster_cli.py

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

smoke: setup
	rm -rf runs/smoke
	$(BIN)/tristance train configs/quick.yaml name=smoke
	printf 'Lavrov told the West that its era of domination was over.\n' | $(BIN)/tristance predict runs/smoke/13/model -

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("tristance needs Python 3.11 or newer, found " + sys.version.split()[0])'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	rm -rf build $(VENV)/.installed-*
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[train,dev]'
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info
