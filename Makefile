# Everything works in .venv/ of this checkout; only Python 3.11 or newer is needed beforehand.

PYTHON ?= python3
PORT ?=
METRICS_PORT ?=
TORCH_BACKEND ?=
STAGE ?= all
MINUTES ?= 120
MODELS ?=
WORK ?=
SEED ?=
# Of the images; REVISION is the commit that they are built from.
export REVISION ?= $(shell git rev-parse HEAD 2>/dev/null)

BIN := .venv/bin
# The stamp of an installation holds its torch backend: where none is asked for, what is there stays.
INSTALLED := .venv/.installed
INSTALLED_BACKEND := $(shell cat $(INSTALLED) 2>/dev/null)
BACKEND := $(or $(TORCH_BACKEND),$(INSTALLED_BACKEND))
# Without a GPU the pinned torch does, which is far smaller where a CPU build can be had.
CONSTRAINTS := $(if $(shell command -v nvidia-smi),,-c constraints-cpu.txt)

.PHONY: install run test fuzz check train evaluate lecture bench chaos gpu-report load up clean
.PHONY: lock sbom compose-test

ifneq ($(BACKEND),$(INSTALLED_BACKEND))
.PHONY: $(INSTALLED)
AGAIN := --reinstall-package torch
endif

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints-cpu.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "darkroom needs Python 3.11 or newer; set PYTHON=/path/to/python3"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
ifeq ($(BACKEND),)
	$(BIN)/python -m pip install --quiet $(CONSTRAINTS) --editable '.[dev]'
else
	$(BIN)/python -m pip install --quiet uv
	VIRTUAL_ENV=.venv $(BIN)/uv pip install --torch-backend=$(BACKEND) $(AGAIN) --editable '.[dev]'
endif
	@echo $(BACKEND) >$@

run: install
	@$(BIN)/darkroom run $(if $(PORT),--port $(PORT)) $(if $(METRICS_PORT),--metrics-port $(METRICS_PORT))

# Two files at a time, each with one thread for torch.
test: install
	$(BIN)/pytest -n 2 --dist loadfile -m "not slow and not docker"

# Many more of the cases that `make test` tries, and others each time.
fuzz: install
	$(BIN)/pytest tests/app/test_fuzz.py --fuzz-cases $(or $(CASES),2000) --fuzz-anew

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint docker/*.Dockerfile

# The starter model from scratch, or one stage of it; it goes on where it was stopped, which it is
# after MINUTES, or never where that is empty.
#   make train STAGE=vae MINUTES=60
#   make train MODELS=/tmp/models WORK=/tmp/work SEED=1   another one, and not what is in models/
train: install
	$(BIN)/python -m training $(or $(STAGE),all) $(if $(MINUTES),--minutes $(MINUTES)) \
		$(if $(MODELS),--models $(MODELS)) $(if $(WORK),--work $(WORK)) $(if $(SEED),--seed $(SEED))

# Measures the finished model and writes its card.
evaluate: install
	$(BIN)/python -m training.evaluate $(if $(MODELS),--models $(MODELS)) $(if $(WORK),--work $(WORK))

# The figures of docs/how-it-works.md, or those that FIGURES names.
lecture: install
	$(BIN)/python -m training.lecture $(FIGURES)

bench: install
	$(BIN)/python benchmarks/engine.py

# Workers are killed while jobs run; prints what became of the jobs.
chaos: install
	$(BIN)/python -m tests.faults.chaos $(CHAOS)

# Within 8 minutes, and then what there was no time for:
#   make gpu-report REPORT=--rest
gpu-report: install
	$(BIN)/python benchmarks/gpu_report.py $(REPORT)

# On a service that runs; prints where its report is (docs/load-testing.md).
#   make load LOAD="--rate 2 --seconds 60 --mix short-long"
load: install
	$(BIN)/python benchmarks/load.py --report .data/load $(LOAD) \
		--url http://127.0.0.1:$(or $(PORT),$(DARKROOM_PORT),8000)

up:
	docker compose up --build --detach --wait

# The newest releases that pyproject.toml allows, for the images, with their hashes. torch is apart:
# which build of it is right depends on the machine, and with it a GPU's libraries, which it needs. What
# else it needs is named here.
TORCH_NEEDS := filelock fsspec jinja2 networkx setuptools sympy typing-extensions
LOCK := $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	--no-annotate --custom-compile-command 'make lock'
lock: install
	echo hatchling | $(LOCK) - -o docker/build.lock.txt
	$(LOCK) pyproject.toml --extra app --extra courier --extra otel --extra s3 \
		-o docker/api.lock.txt
	printf '%s\n' $(TORCH_NEEDS) | $(LOCK) - --excludes constraints-cpu.txt \
		pyproject.toml --extra worker --extra otel --extra s3 -o docker/worker.lock.txt

# What is in the images beside their base, as CycloneDX's JSON.
sbom:
	docker build --target sbom --output dist/sbom --file docker/api.Dockerfile .
	docker build --target sbom --output dist/sbom --file docker/worker.Dockerfile \
		--build-arg TORCH_BACKEND=$(or $(TORCH_BACKEND),cpu) .

# Brings the stack up in a project of its own, makes pictures, ends processes, and takes it down.
compose-test: install
	$(BIN)/pytest -m docker tests/e2e/test_stack.py

clean:
	rm -rf .venv .data
