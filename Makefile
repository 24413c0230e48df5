# `make book` builds the book, `make test` runs all tests; both work in a fresh clone. See `make help`.

PYTHON_MIN = 3.11# as requires-python in pyproject.toml
PROFILE = standard
PYTHON ?=
TORCH_INDEX ?=
PYTEST_ARGS ?=
SWEEP ?=
SWEEP_ARGS ?=
BENCH_ARGS ?=
export PYTHON PYTHON_MIN TORCH_INDEX PROFILE
unexport PYTHONDONTWRITEBYTECODE # Python compiles modules on first import, not pip: this halves the install time

BIN = .venv/bin

.PHONY: help book sweep check test lowest lint bench clean
.NOTPARALLEL: # all targets share one .venv

help:
	@echo 'make book    install into .venv, run the notebooks, build the book, print its first page'
	@echo 'make sweep   install, run the sweep of a file: make sweep SWEEP=sweeps/clients.yml'
	@echo 'make check   install, lint, types and the fast tests: before every commit'
	@echo 'make test    install, lint, build the book, run every test'
	@echo 'make lowest  run the tests with the lowest versions of pyproject.toml, a download of 3 GB'
	@echo 'make lint    ruff and mypy'
	@echo 'make bench   install other libraries too, measure speed, save it in benchmarks/results'
	@echo 'make clean   remove .venv, build and caches; runs and results stay'
	@echo
	@echo 'PROFILE=quick                    small runs: seconds per notebook'
	@echo 'TORCH_INDEX=URL                  another build of torch, e.g. https://download.pytorch.org/whl/cpu'
	@echo 'PYTHON=/path/to/python           the Python for a new .venv, $(PYTHON_MIN) or newer'
	@echo 'SWEEP_ARGS="--cores 4"           more arguments for cqlib sweep'
	@echo 'PYTEST_ARGS="-k quantizer -x"    more arguments for pytest'
	@echo 'BENCH_ARGS="--quick"             more arguments for python -m benchmarks'

book:
	@sh tools/install.sh book
	@$(BIN)/cqlib book --profile $(PROFILE)

sweep:
	@sh tools/install.sh book
	@$(BIN)/cqlib sweep $(if $(SWEEP),'$(SWEEP)') $(SWEEP_ARGS)

# All tests but those marked slow, in less than two minutes.
check: lint
	$(BIN)/python -m pytest -q -n 2 --dist worksteal -m 'not slow' --doctest-modules tests cqlib cqbook $(PYTEST_ARGS)

# The tests read the built book, so it is built first; unchanged, that takes seconds.
test: lint
	@$(BIN)/cqlib book --profile $(PROFILE)
	CQLIB_REQUIRE_BOOK=1 $(BIN)/python -m pytest -n 2 --dist loadscope --nbval --nbval-current-env --nbval-cell-timeout 300 \
	    --nbval-sanitize-with tests/nbval_sanitize.cfg --doctest-modules tests cqlib cqbook notebooks $(PYTEST_ARGS)

lint:
	@sh tools/install.sh book,test,batch
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The lowest versions that pyproject.toml states, in an environment of their own (a download of 3 GB).
lowest:
	@sh tools/lowest.sh $(PYTEST_ARGS)

bench:
	@sh tools/install.sh bench,gpu
	@$(BIN)/python -m benchmarks $(BENCH_ARGS)

clean:
	rm -rf .venv build .pytest_cache .mypy_cache .ruff_cache .hypothesis cqlib.egg-info
	find cqlib cqbook benchmarks tests book notebooks -name __pycache__ -prune -exec rm -rf {} +
