# Needs make and Python 3.11 or newer; `make` alone says what there is.

PYTHON ?= python3
# Where the CPU build of torch is, beside pip's own index. Empty: pip's own index alone, which brings CUDA on Linux.
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
STAMP := $(VENV)/.installed
CONSTRAINTS := .ci/constraints.txt
CODE := esa tests scripts

export ESA_DATA
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore

.DELETE_ON_ERROR:
.PHONY: help env demo test lint bench-accuracy bench-accuracy-full check-simulator bench-real bench-variants bench-gaps bench-split bench-levels bench-speed bench-resources bench-encoders bench-dense bench-scaling check-cpu check-numba check-baseline validate clean distclean

help: ## say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-20s %s\n", $$1, $$2}' Makefile
	@echo
	@echo "Variables: PYTHON=$(PYTHON)  TORCH_INDEX=$(TORCH_INDEX)  ESA_DATA=$(ESA_DATA)  ARGS=  TEST_WORKERS=$(TEST_WORKERS)"

env: $(STAMP) ## create .venv and install esa in it (the other targets do it when it is due)

demo: $(STAMP) ## index E. coli, align real and simulated reads, evaluate (results in demo_out/)
	@PATH="$(CURDIR)/$(BIN):$$PATH" bash scripts/demo.sh

test: lint ## ruff, mypy and the whole test suite
	$(BIN)/python -m pytest -n $(TEST_WORKERS) $(ARGS)

lint: $(STAMP) ## ruff and mypy
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mypy
	$(BIN)/mypy scripts

bench-accuracy: $(STAMP) ## the core of the accuracy grid (needs bwa, bowtie2, minimap2 and ESA_DATA; see ARGS=--help)
	$(BIN)/python scripts/bench_accuracy.py $(ARGS)

bench-accuracy-full: $(STAMP) ## the whole accuracy grid; goes on where it was cut
	$(BIN)/python scripts/bench_accuracy.py --full $(ARGS)

check-simulator: $(STAMP) ## are esa's simulated reads kinder than dwgsim's and mason's? (needs both, bwa and ESA_DATA)
	$(BIN)/python scripts/check_simulator.py $(ARGS)

bench-real: $(STAMP) ## real reads, reads that belong nowhere, chimp and orangutan (needs bwa, minimap2 and ESA_DATA)
	$(BIN)/python scripts/bench_real.py $(ARGS)

bench-variants: $(STAMP) ## variants called from simulated NA12878 reads (needs bwa, minimap2, dwgsim, samtools, bcftools and ESA_DATA)
	$(BIN)/python scripts/bench_variants.py $(ARGS)

bench-gaps: $(STAMP) ## insertions and deletions to 50 bases, clipped bases (needs bwa, minimap2 and ESA_DATA)
	$(BIN)/python scripts/bench_gaps.py $(ARGS)

bench-split: $(STAMP) ## chimeric reads, and ordinary ones that should stay whole (needs bwa, dwgsim and ESA_DATA)
	$(BIN)/python scripts/bench_split.py $(ARGS)

bench-levels: $(STAMP) ## what each level of the escalation is asked, costs and finds (needs ESA_DATA)
	$(BIN)/python scripts/bench_levels.py $(ARGS)

bench-speed: $(STAMP) ## reads/s beside the peers (needs bwa, bowtie2, minimap2, dwgsim and ESA_DATA; MINIBWA= names another)
	$(BIN)/python scripts/bench_speed.py $(ARGS)

bench-resources: $(STAMP) ## threads, memory, formats, start-up, index, serial share (needs dwgsim and ESA_DATA)
	$(BIN)/python scripts/bench_resources.py $(ARGS)

bench-encoders: $(STAMP) ## what encoders and dense stores find and cost, as tables (needs ESA_DATA; see ARGS=--help)
	$(BIN)/python scripts/bench_encoders.py $(ARGS)

bench-scaling: $(STAMP) ## index and align from 4.6 Mb to human size: table and plot (hours; needs ESA_DATA; see ARGS=--help)
	$(BIN)/python scripts/bench_scaling.py $(ARGS)

check-cpu: $(STAMP) ## the same bytes on processors without AVX-512 and without AVX2? (chr20, too, with ESA_DATA)
	$(BIN)/python scripts/check_cpu.py $(ARGS)

check-numba: $(STAMP) ## do the kernels pass with every numba release that pyproject.toml allows? (an hour or more; downloads 80 MB each)
	$(BIN)/python scripts/check_numba.py $(ARGS)

bench-dense: $(STAMP) ## the dense store on a large genome: lists, codes, shortlists (needs its index: ARGS=DIR, see ARGS=--help)
	$(BIN)/python scripts/bench_dense.py $(ARGS)

check-baseline: $(STAMP) ## which records differ from the last commit that changed alignments? (ESA_DATA, or ARGS=--quick)
	$(BIN)/python scripts/compare_baseline.py $(ARGS)

validate: $(STAMP) ## picard and samtools on the output of every real set (needs both and ESA_DATA)
	$(BIN)/python scripts/validate_outputs.py $(ARGS)

clean: ## remove results, caches and compiled kernels, but not .venv
	rm -rf demo_out bench_out build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## remove .venv too
	rm -rf $(VENV) *.egg-info

$(STAMP): pyproject.toml $(CONSTRAINTS)
	@($(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))') 2>/dev/null || { \
	    echo "esa needs Python 3.11 or newer; $(PYTHON) is $$( ($(PYTHON) --version) 2>/dev/null || echo 'not there')." >&2; \
	    echo "Name another one: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@test -x $(BIN)/python && $(PIP) --version >/dev/null 2>&1 || { \
	    rm -rf $(VENV); $(PYTHON) -m venv $(VENV) 2>/dev/null || $(PYTHON) -m virtualenv -q $(VENV) 2>/dev/null || { \
	    rm -rf $(VENV); \
	    echo "$(PYTHON) cannot create a virtual environment: its venv or ensurepip module is missing." >&2; \
	    echo "On Debian and Ubuntu: apt-get install python3-venv. Without root: pip install --user virtualenv," >&2; \
	    echo "or name another Python: make PYTHON=/path/to/python3.11" >&2; exit 1; }; }
	@echo "Installing esa and what it needs into $(VENV); the first time this downloads some 400 MB."
	@# -qq: an index that cannot be reached is passed over in silence, another one may have what it lacks.
	$(PIP) install -qq -c $(CONSTRAINTS) --no-deps --retries 1 $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) torch
	$(PIP) install -qq -c $(CONSTRAINTS) -e '.[test]'
	@# Byte code, which an editable install lacks; with PYTHONDONTWRITEBYTECODE set every start would make it anew.
	$(BIN)/python -m compileall -q esa
	@touch $@
