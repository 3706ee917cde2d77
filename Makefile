# Two commands matter: `make demo` (from nothing to a splat) and `make test`. Both set everything up.
PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin
OUT    ?= out/demo
PHOTO  ?= $(VENV)/lib/python3.11/site-packages/skimage/data/astronaut.png

.PHONY: demo test setup lint clean help

help:           ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/'

setup: $(VENV)/.installed  ## create .venv and install the package, pinned by constraints.txt

$(VENV)/.installed: constraints.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "Headloom needs Python 3.11 exactly (bpy 4.5 has no other wheel); $(PYTHON) was not found." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt 'torch==2.13.0'
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	@touch $@

demo: setup     ## render heads, train both models a little, lift a photo; then open $(OUT)/index.html
	$(BIN)/headloom doctor
	$(BIN)/headloom render --config demo --out $(OUT)/dataset
	$(BIN)/headloom dataset verify $(OUT)/dataset
	$(BIN)/headloom train vae       --config tiny --data $(OUT)/dataset --out $(OUT)/vae
	$(BIN)/headloom train diffusion --config tiny --data $(OUT)/dataset --out $(OUT)/diffusion --vae $(OUT)/vae
	$(BIN)/headloom train gslrm     --config tiny --data $(OUT)/dataset --out $(OUT)/gslrm
	$(BIN)/headloom eval reconstructor --split all --data $(OUT)/dataset --weights $(OUT)/gslrm --out $(OUT)/rebuilt
	$(BIN)/headloom lift $(PHOTO) --out $(OUT)/lift --fallback-weights $(OUT)
	$(BIN)/headloom gallery $(OUT)

test: setup     ## lint and the whole suite (CPU only, no network)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pytest -q

lint: setup     ## format and lint in place
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:          ## remove everything that can be made again
	rm -rf out .pytest_cache .ruff_cache
