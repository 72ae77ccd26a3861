# Two commands are enough to start: make demo, make test. Every target creates the environment first if it is missing.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
# Two workers, one thread each; a worker that is done takes tests from the other.
# Python keeps compiled modules, which the many processes of the tests load again.
TEST := PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2 --dist worksteal

.PHONY: venv demo test check docs clean
.DEFAULT_GOAL := demo

venv: $(READY)

$(READY): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing into .venv (a minute or two)"
	@PIP_CONSTRAINT="$(CURDIR)/constraints.txt" $(BIN)/pip install -q -e '.[dev]'
	@touch $(READY)

# The whole way on a real scene: train a small denoiser, extract features, compare heads, map the scene.
demo: $(READY)
	$(BIN)/hsifeat pretrain indian-pines --network mtmsd --size small --out demo/backbone
	$(BIN)/hsifeat extract indian-pines --backbone demo/backbone --out demo/trained.zarr
	$(BIN)/hsifeat extract indian-pines --backbone untrained:demo/backbone --out demo/untrained.zarr
	@if [ ! demo/map.png -nt demo/trained.zarr/zarr.json ]; then set -ex; \
	$(BIN)/hsifeat fit demo/trained.zarr --head film --split blocks:12+4:0.1 --out demo/film; \
	$(BIN)/hsifeat predict demo/film demo/trained.zarr --out demo/map.png; fi
	$(BIN)/hsifeat bench demo/trained.zarr demo/untrained.zarr --heads film,hyperfeatures,mlp,svm,lda --curve 5,20,100 --out demo/report
	@echo "map:    demo/map.png (the film head, all pixels)"
	@echo "again:  make demo reuses everything; remove the folder demo/ to start over"

test: $(READY)
	$(TEST) $(ARGS)

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
