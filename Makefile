# Everything sets itself up: `make run`, `make scene` and `make test` work on a fresh machine with Python 3.11 or 3.12.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
UV_VERSION := 0.13.9
CLEAN := build/clean-venv
EXAMPLE ?= examples/coffee
OUT ?= out

.PHONY: run scene test test-slow test-device fuzz soak install lint docs lock bench bench-gpu viewers clean help

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

run: $(VENV)/.run-ready  ## open the app on http://127.0.0.1:7860
	$(BIN)/python app.py

scene: $(VENV)/.run-ready  ## one example picture and a preset path into scene files in out/
	$(BIN)/python -m flashworld generate $(EXAMPLE) --out $(OUT)

test: $(VENV)/.test-ready chromium  ## unit, golden, fuzz, app, ZeroGPU and browser tests
	$(BIN)/python -m pytest tests/unit tests/golden -n 2
	$(BIN)/python -m pytest tests/fuzz tests/app tests/zerogpu tests/browser -m "not slow"

test-slow: $(VENV)/.test-ready  ## compiled graphs, the whole app and the GPU benchmark in small, a quarter of an hour
	$(BIN)/python -m pytest tests/zerogpu tests/device -m slow

test-device: $(VENV)/.test-ready  ## tests that need a CUDA device
	$(BIN)/python -m pytest tests/device

fuzz: $(VENV)/.test-ready  ## 20,000 hostile inputs, minutes
	FLASHWORLD_FUZZ_CASES=20000 $(BIN)/python -m pytest tests/fuzz

soak: $(VENV)/.test-ready  ## 50 visitors at once, then 2,300 requests, 30 % of them broken: 15 to 30 minutes
	$(BIN)/python -m tests.load.soak

install: $(VENV)/.uv-ready  ## prove that requirements.txt alone opens the app here, and resolves for the Space's Python
	rm -rf $(CLEAN) && $(PYTHON) -m venv $(CLEAN)
	$(UV) pip install --quiet --python $(CLEAN)/bin/python -r requirements.txt
	$(UV) pip check --python $(CLEAN)/bin/python
	$(CLEAN)/bin/python -c "import app; print('opens with', app.MODEL.pipeline.name)"
	$(UV) pip install --quiet --dry-run --python $(CLEAN)/bin/python --python-version 3.12 \
	  --python-platform x86_64-manylinux_2_28 --only-binary :all: --target $(CLEAN)/space -r requirements.txt

lint: $(VENV)/.test-ready  ## formatter, linter, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	find ui -name '*.pyi' -delete  # Gradio writes them beside the components when they are imported, and pyright would believe them
	$(BIN)/pyright

docs: $(VENV)/.test-ready  ## the documentation as a site in build/docs; a broken link fails the build
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

bench: $(VENV)/.run-ready  ## figures of this machine
	$(BIN)/python -m benchmarks

bench-gpu: $(VENV)/.test-ready  ## every GPU figure, ten minutes per run, into the README and docs/speed.md
	$(BIN)/python -m benchmarks.gpu_all --out $(OUT)/gpu; status=$$?; \
	  $(BIN)/python -m docs.make_gpu_figures $(OUT)/gpu/gpu_all.json && exit $$status

viewers: $(VENV)/.test-ready chromium  ## scene files in Spark, SuperSplat's viewer, splat-transform and Blender: 1.2 GB on disk, five minutes
	$(BIN)/python -m benchmarks.viewers --out $(OUT)/viewers; status=$$?; \
	  $(BIN)/python -m docs.make_viewers $(OUT)/viewers && exit $$status

lock: $(VENV)/.uv-ready  ## pin every package again from requirements*.in
	$(UV) pip compile requirements.in -o requirements.txt --universal --python-version 3.11 --no-header --no-annotate --no-emit-index-url
	$(UV) pip compile requirements-cluster.in -o requirements-cluster.txt --universal --python-version 3.11 --no-header --no-annotate --no-emit-index-url
	$(UV) pip compile requirements-dev.in -o requirements-dev.txt --universal --python-version 3.11 --no-header --no-annotate --no-emit-index-url

clean:  ## remove the environment and outputs
	rm -rf $(VENV) $(OUT) build dist

$(VENV)/.uv-ready:
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12) and "Python 3.11 or 3.12 is needed: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv==$(UV_VERSION)
	touch $@

$(VENV)/.run-ready: $(VENV)/.uv-ready requirements.txt
	$(UV) pip install --quiet --python $(BIN)/python -r requirements.txt
	touch $@

$(VENV)/.test-ready: $(VENV)/.uv-ready requirements-dev.txt
	$(UV) pip install --quiet --python $(BIN)/python -r requirements-dev.txt
	touch $@ $(VENV)/.run-ready

.PHONY: chromium
chromium:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || { \
	  echo "installing Chromium for the browser tests"; \
	  SUDO=$$([ "$$(id -u)" = 0 ] || echo sudo); \
	  $$SUDO apt-get update -qq && $$SUDO apt-get install -y -qq --no-install-recommends chromium; }
