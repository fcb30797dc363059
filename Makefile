# Needs make and Python 3.11 or newer; `make` alone says what there is.

PYTHON ?= python3
# Where the CPU build of torch is, beside pip's own index. Empty: pip's own index alone, which brings CUDA on Linux.
# (`make demo` needs no torch.)
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
# The larger collection of real data that the benchmarks read.
ESA_DATA ?= ../shared/data
# Passed on to pytest by `make test`, and to the scripts by the `make bench-...` targets.
ARGS ?=
# Test processes. Each compiles what the others have not yet, so more than a few do not pay.
TEST_WORKERS ?= 2

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip
# What is installed: esa with what its main job needs; beside it, whatever the tests, benchmarks and checks need.
BASE := $(VENV)/.installed-base
FULL := $(VENV)/.installed-test
CONSTRAINTS := .ci/constraints.txt
CODE := esa tests scripts

export ESA_DATA
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore

.DELETE_ON_ERROR:
.PHONY: help env demo test lint bench-accuracy bench-accuracy-full check-simulator bench-real bench-variants bench-gaps bench-split bench-levels bench-speed bench-resources bench-encoders bench-dense bench-scaling bench-io check-cpu check-numba check-baseline validate clean distclean

help: ## say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-20s %s\n", $$1, $$2}' Makefile
	@echo
	@echo "Variables: PYTHON=$(PYTHON)  TORCH_INDEX=$(TORCH_INDEX)  ESA_DATA=$(ESA_DATA)  ARGS=  TEST_WORKERS=$(TEST_WORKERS)"

env: $(FULL) ## create .venv and install everything in it (the other targets install what they need)

demo: $(BASE) ## index E. coli, align real and simulated reads, evaluate (results in demo_out/)
	@PATH="$(CURDIR)/$(BIN):$$PATH" bash scripts/demo/demo.sh

test: lint ## ruff, mypy and the whole test suite
	$(BIN)/python -m pytest -n $(TEST_WORKERS) $(ARGS)

lint: $(FULL) ## ruff and mypy
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mypy
	$(BIN)/mypy -p scripts

bench-accuracy: $(FULL) ## the core of the accuracy grid (needs bwa, bowtie2, minimap2 and ESA_DATA; see ARGS=--help)
	$(BIN)/python -m scripts.benchmarks.accuracy $(ARGS)

bench-accuracy-full: $(FULL) ## the whole accuracy grid; goes on where it was cut
	$(BIN)/python -m scripts.benchmarks.accuracy --full $(ARGS)

check-simulator: $(FULL) ## are esa's simulated reads easier than dwgsim's and mason's? (needs both, bwa and ESA_DATA)
	$(BIN)/python -m scripts.checks.simulator $(ARGS)

bench-real: $(FULL) ## real reads, reads that belong nowhere, chimp and orangutan (needs bwa, minimap2 and ESA_DATA)
	$(BIN)/python -m scripts.benchmarks.real $(ARGS)

bench-variants: $(FULL) ## variants called from simulated NA12878 reads (needs bwa, minimap2, dwgsim, samtools, bcftools and ESA_DATA)
	$(BIN)/python -m scripts.benchmarks.variants $(ARGS)

bench-gaps: $(FULL) ## insertions and deletions to 50 bases, clipped bases (needs bwa, minimap2 and ESA_DATA)
	$(BIN)/python -m scripts.benchmarks.gaps $(ARGS)

bench-split: $(FULL) ## chimeric reads, and ordinary ones that should stay whole (needs bwa, dwgsim and ESA_DATA)
	$(BIN)/python -m scripts.benchmarks.split $(ARGS)

bench-levels: $(FULL) ## what each level of the escalation is asked, costs and finds (needs ESA_DATA)
	$(BIN)/python -m scripts.benchmarks.levels $(ARGS)

bench-speed: $(FULL) ## reads/s beside the peers (needs bwa, bowtie2, minimap2, dwgsim and ESA_DATA; MINIBWA= names another)
	$(BIN)/python -m scripts.benchmarks.speed $(ARGS)

bench-resources: $(FULL) ## threads, memory, formats, start-up, index, serial share (needs dwgsim and ESA_DATA)
	$(BIN)/python -m scripts.benchmarks.resources $(ARGS)

bench-encoders: $(FULL) ## what encoders and dense stores find and cost, as tables (needs ESA_DATA; see ARGS=--help)
	$(BIN)/python -m scripts.benchmarks.encoders $(ARGS)

bench-scaling: $(FULL) ## index and align from 4.6 Mb to human size: table and plot (hours; needs ESA_DATA; see ARGS=--help)
	$(BIN)/python -m scripts.benchmarks.scaling $(ARGS)

bench-io: $(FULL) ## reading FASTQ and writing SAM and BAM beside dnaio and pysam (see ARGS=--help)
	$(BIN)/python -m scripts.benchmarks.formats $(ARGS)

check-cpu: $(FULL) ## the same bytes on processors without AVX-512 and without AVX2? (chr20, too, with ESA_DATA)
	$(BIN)/python -m scripts.checks.cpu $(ARGS)

check-numba: $(FULL) ## do the kernels pass with every numba release that pyproject.toml allows? (an hour or more; downloads 80 MB each)
	$(BIN)/python -m scripts.checks.numba_releases $(ARGS)

bench-dense: $(FULL) ## the dense store on a large genome: lists, codes, shortlists (needs its index: ARGS=DIR, see ARGS=--help)
	$(BIN)/python -m scripts.benchmarks.dense $(ARGS)

check-baseline: $(FULL) ## which records differ from the last commit that changed alignments? (ESA_DATA, or ARGS=--quick)
	$(BIN)/python -m scripts.checks.compare_baseline $(ARGS)

validate: $(FULL) ## picard and samtools on the output of every real set (needs both and ESA_DATA)
	$(BIN)/python -m scripts.checks.validate_outputs $(ARGS)

clean: ## remove results, caches and compiled kernels, but not .venv
	rm -rf demo_out bench_out build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## remove .venv too
	rm -rf $(VENV) *.egg-info

$(BASE): pyproject.toml $(CONSTRAINTS)
	@($(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))') 2>/dev/null || { \
	    echo "esa needs Python 3.11 or newer; $(PYTHON) is $$( ($(PYTHON) --version) 2>/dev/null || echo 'not there')." >&2; \
	    echo "Name another one: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@test -x $(BIN)/python && $(PIP) --version >/dev/null 2>&1 || { \
	    rm -rf $(VENV); $(PYTHON) -m venv $(VENV) 2>/dev/null || $(PYTHON) -m virtualenv -q $(VENV) 2>/dev/null || { \
	    rm -rf $(VENV); \
	    echo "$(PYTHON) cannot create a virtual environment: its venv or ensurepip module is missing." >&2; \
	    echo "On Debian and Ubuntu: apt-get install python3-venv. Without root: pip install --user virtualenv," >&2; \
	    echo "or name another Python: make PYTHON=/path/to/python3.11" >&2; exit 1; }; }
	@echo "Installing esa and what it needs into $(VENV); the first time this downloads some 90 MB."
	$(PIP) install -qq -c $(CONSTRAINTS) -e .
	@# Byte code, which an editable install lacks; with PYTHONDONTWRITEBYTECODE set every start would make it anew.
	$(BIN)/python -m compileall -q esa
	@touch $@

$(FULL): $(BASE)
	@echo "Adding what the dense presets, the tests and the benchmarks need; the first time this downloads some 310 MB."
	@# -qq: an index that cannot be reached is passed over in silence, another one may have what it lacks.
	$(PIP) install -qq -c $(CONSTRAINTS) --no-deps --retries 1 $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) torch
	$(PIP) install -qq -c $(CONSTRAINTS) -e '.[test]'
	@touch $@
