# make demo: set up, train the pose app on data it makes itself, evaluate, write pictures.
# make test: set up, lint, run the tests. Both can be run again and install nothing twice.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
RUN    ?= runs/pose/demo
# What accelerate would take anyway; said here, it does not warn.
QUIET  := --num_processes 1 --num_machines 1 --mixed_precision no --dynamo_backend no

.PHONY: setup demo test lint format bench pins clean

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

# Two files at a time, a thread each: a test rarely keeps two cores busy.
test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Resolve pyproject.toml anew and write the pins.
pins: setup
	$(BIN)/uv lock --upgrade
	(echo "# Exact pins of every dependency, Python 3.10-3.12, made by 'make pins'. Install with --no-deps."; \
	$(BIN)/uv export --quiet --frozen --all-extras --no-hashes --no-annotate --no-header --no-emit-project) > requirements.txt

clean:
	rm -rf $(VENV)
