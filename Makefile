# Two commands are enough to start: make demo, make test. Every target creates the environment first if it is missing.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
# Two workers, one thread each; a worker that is done takes tests from the other.
# Python keeps compiled modules, which the many processes of the tests load again.
TEST := PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2 --dist worksteal -o tmp_path_retention_policy=failed
# Tests write very many small files. In a file system in memory that has room for 4 GB and allows programs, they wait for no disk.
ROOMY := $(shell grep " /dev/shm " /proc/mounts 2>/dev/null | grep -qv noexec \
	&& test "$$(df -k /dev/shm | awk 'END {print $$4}')" -gt 4000000 && echo /dev/shm)
FILES := $(or $(ROOMY),$(TMPDIR),/tmp)

.PHONY: venv demo demo-pretrain test check docs clean
.DEFAULT_GOAL := demo

venv: $(READY)

$(READY): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing into .venv (a minute or two)"
	@PIP_CONSTRAINT="$(CURDIR)/constraints.txt" $(BIN)/pip install -q -e '.[dev]'
	@touch $(READY)

# The whole way on a real scene, without training a network: context features, a map from five labels per class, planes of a
# network and of its untrained copy, and a report that compares them.
demo: $(READY)
	$(BIN)/hsifeat extract indian-pines --backbone context --out demo/context.zarr
	@if [ ! demo/map.png -nt demo/context.zarr/zarr.json ]; then set -ex; \
	$(BIN)/hsifeat fit demo/context.zarr --split per-class:5 --out demo/model; \
	$(BIN)/hsifeat predict demo/model demo/context.zarr --out demo/map.png; fi
	$(BIN)/hsifeat extract indian-pines --out demo/natural32.zarr
	$(BIN)/hsifeat extract indian-pines --preset natural32 --backbone untrained:natural32 --out demo/untrained.zarr
	$(BIN)/hsifeat bench demo/natural32.zarr demo/untrained.zarr demo/context.zarr --heads lda --curve 5,20 --out demo/report
	@echo "map:    demo/map.png (five labels per class)"
	@echo "report: demo/report/report.html"
	@echo "again:  make demo reuses everything; remove the folder demo/ to start over"

# Optional: a denoiser that is trained on the scene itself (about three minutes), compared with its untrained copy.
demo-pretrain: $(READY)
	$(BIN)/hsifeat extract indian-pines --backbone context --out demo/context.zarr
	$(BIN)/hsifeat pretrain indian-pines --network mtmsd --size small --out demo/backbone
	$(BIN)/hsifeat extract indian-pines --backbone demo/backbone --out demo/trained.zarr
	$(BIN)/hsifeat extract indian-pines --backbone untrained:demo/backbone --out demo/untrained-mtmsd.zarr
	$(BIN)/hsifeat bench demo/trained.zarr demo/untrained-mtmsd.zarr demo/context.zarr --heads lda,film --out demo/report-pretrain

test: $(READY)
	folder=$$(mktemp -d $(FILES)/hsifeat-XXXXXX) && chmod 1777 "$$folder" && trap 'rm -rf "$$folder"' EXIT && TMPDIR=$$folder $(TEST) $(ARGS)

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

# The documentation, as a folder of pages that need no network: build/docs/index.html.
docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "documentation: build/docs/index.html"

clean:
	rm -rf demo build .venv
