# make train   a short real training run, from nothing
# make test    the fast tests, from nothing
# make slow    the long tests
# make sanitize native code under address and undefined-behaviour sanitizers
# make docs    the site, in build/site, after running all code that its pages show
# make pictures figures of the README, from the committed records
# make check   lint, types, packaging

VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# A newcomer's install needs the sources of the kernels, not of everything.
SOURCES := pyproject.toml constraints.txt kernels/CMakeLists.txt $(wildcard kernels/cpu/* kernels/cuda/* kernels/include/*/* kernels/include/*/*/*)
TRAIN_STEPS ?= 20000

.PHONY: install train test slow sanitize lint types wheel docs pictures check clean

install: $(STAMP)

$(STAMP): $(SOURCES)
	@test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev]"
	@touch $(STAMP)

train: install
	$(BIN)/python scripts/train.py --quick-start --n-timesteps $(TRAIN_STEPS)

test: install
	$(BIN)/python -m pytest -n 2

slow: install
	$(BIN)/python -m pytest -m slow -n 2 || test $$? -eq 5  # 5: there are none

sanitize: install
	$(BIN)/python -m pytest -m sanitized

pictures: install
	$(BIN)/python scripts/plot_benchmark.py docs/benchmark.json --out docs/speed.svg
	$(BIN)/python scripts/catalogue.py

docs: install
	$(BIN)/python -m pytest -m pages -n 2
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

wheel: install
	$(BIN)/python -m build --wheel --outdir dist .

check: lint types wheel

clean:
	rm -rf $(VENV) build dist
