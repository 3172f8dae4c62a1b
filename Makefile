# make setup | test | demo | compare | ablation | survey | compat | fuzz | kill-test |
# search-kill-test | test-milvus | test-export | lint
# (each makes .venv first where it is missing)
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
MILVUS := $(VENV)-milvus/bin/milvus-server

.PHONY: setup test test-milvus test-export fuzz kill-test search-kill-test demo compare ablation survey compat lint clean

setup: $(STAMP)

# Remade when a file that decides what is installed is newer than the last whole installation.
$(STAMP): requirements/runtime.txt requirements/lite.txt requirements/clip.txt requirements/ann.txt requirements/web.txt requirements/milvus.txt requirements/onnx.txt requirements/openvino.txt requirements/export.txt requirements/mteb.txt requirements/tests.txt requirements/constraints.txt setup.py mmc2v/version.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "mmc2v needs Python 3.11 or newer, \
	this is " + sys.version.split()[0] + ". Name another: make $(or $(MAKECMDGOALS),setup) PYTHON=python3.13")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements/constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements/constraints.txt -r requirements/tests.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements/constraints.txt -e .
	touch $(STAMP)

test: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 --dist worksteal

# A real server, in an environment of its own; it wants its port 2380 for itself.
$(MILVUS): Makefile
	test -x $(VENV)-milvus/bin/python || $(PYTHON) -m venv $(VENV)-milvus
	$(VENV)-milvus/bin/python -m pip install --quiet --disable-pip-version-check milvus==2.3.5
	touch $(MILVUS)

test-milvus: $(STAMP) $(MILVUS)
	MMC2V_MILVUS_SERVER=$(CURDIR)/$(MILVUS) OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/search/milvus

# Every variant of the authors' code as ONNX; torch takes minutes to make the graphs.
test-export: $(STAMP)
	MMC2V_ALL_VARIANTS=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 \
		tests/export/test_towers.py -k onnx

fuzz: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python tools/analysis_tools/fuzz_decoding.py --files 30000 --processes 2

kill-test: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.tools.kill_and_resume

search-kill-test: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.search.kill_indexing --kills 60

demo: $(STAMP)
	$(BIN)/python tools/demo.py --out work_dirs/demo configs/clip2video_moving_shapes.py

compare: $(STAMP)
	$(BIN)/python tools/demo.py --out work_dirs/compare configs/clip2video_moving_shapes.py \
		configs/meanpool_moving_shapes.py configs/temporal_transformer_moving_shapes.py

ablation: $(STAMP)
	$(BIN)/python tools/analysis_tools/ablation.py

survey: $(STAMP)
	$(BIN)/python tools/analysis_tools/survey_towers.py --write docs/towers.md

# Not part of the tests: throw-away environments take gigabytes of downloads and minutes each.
compat:
	$(PYTHON) tools/analysis_tools/compatibility.py --write docs/compatibility.md

lint: $(STAMP)
	$(BIN)/ruff check .

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache build *.egg-info
