# make demo: set up, train the kept pose network on, on data the app makes itself, evaluate, write
# pictures and a page.
# make test: set up, lint, run the tests. Both can be run again and install nothing twice.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
RUN    ?= runs/pose/demo
# What accelerate would take anyway; said here, it does not warn.
QUIET  := --num_processes 1 --num_machines 1 --mixed_precision no --dynamo_backend no

DOCS   := .venv-docs

.PHONY: setup demo test lint format docs bench pins clean

setup: $(READY)

$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 10) <= v <= (3, 12) else f"Python 3.10, 3.11 or 3.12 is needed; $(PYTHON) is {sys.version.split()[0]}. Try: make PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $$(grep -o '^uv==[0-9.]*' requirements.txt)
	$(BIN)/uv pip install --python $(BIN)/python --compile-bytecode --no-deps -r requirements.txt
	$(BIN)/uv pip install --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $(READY)

demo: setup
	$(BIN)/accelerate launch $(QUIET) apps/pose/train.py demo --run.folder $(RUN) --run.resume
	$(BIN)/accelerate launch $(QUIET) apps/pose/eval.py $(RUN) --flip-test
	$(BIN)/accelerate launch $(QUIET) apps/pose/predict.py $(RUN) --flip-test
	$(BIN)/python apps/pose/predict.py samples/people.jpg --boxes samples/people_boxes.json --output $(RUN)/kept/pose
	$(BIN)/python apps/pointcloud/predict.py samples/chair.ply --no-page --output $(RUN)/kept/pointcloud
	$(BIN)/python apps/crossview/predict.py samples/aerial.png --output $(RUN)/kept/crossview
	$(BIN)/python -m core.app.overview $(RUN)

# Two files at a time, a thread each: a test rarely keeps two cores busy.
test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# Every figure of speed, with its aim: an hour on two quiet cores.
bench: setup
	$(BIN)/python benchmarks/all.py

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The documentation as a site, in site/. Its generator reads the sources and imports none of them;
# it wants Python 3.11 or later.
docs: $(DOCS)/.ready
	$(DOCS)/bin/zensical build --clean --strict
	@echo "Read it: $(PYTHON) -m http.server --bind 127.0.0.1 --directory site"

$(DOCS)/.ready: requirements-docs.txt
	test -x $(DOCS)/bin/python || $(PYTHON) -m venv $(DOCS)
	$(DOCS)/bin/python -m pip install --quiet --no-deps -r requirements-docs.txt
	@touch $@

# Resolve pyproject.toml anew and write the pins.
pins: setup
	$(BIN)/uv lock --upgrade
	(echo "# Exact pins of every dependency, Python 3.10-3.12, made by 'make pins'. Install with --no-deps."; \
	$(BIN)/uv export --quiet --frozen --all-extras --no-hashes --no-annotate --no-header --no-emit-project --no-group docs) > requirements.txt
	(echo "# Exact pins of what 'make docs' installs, made by 'make pins'. Install with --no-deps."; \
	$(BIN)/uv pip compile --quiet --group docs --universal --python-version 3.11 --no-annotate --no-header) > requirements-docs.txt

clean:
	rm -rf $(VENV) $(DOCS)
