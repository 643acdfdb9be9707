# Everything runs in .venv, made here on first use.
#
#   make demo   train three adapters on the embedded depther, compare them, make a report (minutes, no download)
#   make test   the tests that need no PyTorch
#   make parity the comparison with PyTorch and transformers
#   make lint   ruff

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := runs/demo

.PHONY: demo test parity lint clean
.DELETE_ON_ERROR:

# One stamp per set of extras: made again when pyproject.toml changes.
$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml | $(VENV)/bin/python
	@echo "Installing into $(VENV) (a minute or two) ..."
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --editable ".[test,dev]"
	@touch $@

# From the CPU index where there is one: PyPI's own build brings gigabytes of CUDA.
$(VENV)/installed-parity: $(VENV)/installed-test
	$(BIN)/python -m pip install --quiet torch==2.13.0 $(TORCH_INDEX)
	$(BIN)/python -m pip install --quiet --editable ".[parity]"
	@touch $@

demo: $(VENV)/installed
	@for variant in biases current_only; do \
	  echo; echo "== $$variant: an ablation"; \
	  $(BIN)/python train.py --config=configs/demo.py:$$variant --workdir=$(DEMO)/$$variant || exit 1; \
	done
	@echo; echo "== adapter: current and previous frame, shift and response"
	@$(BIN)/python train.py --config=configs/demo.py --workdir=$(DEMO)
	@echo; echo "== comparison on rooms that no model has seen"
	@$(BIN)/python eval.py --config=configs/demo.py --workdir=$(DEMO) --config.ablations=True \
	  --config.eval.checkpoints=biases=$(DEMO)/biases/model,current_only=$(DEMO)/current_only/model
	@$(BIN)/smoothdino report $(DEMO)

test: $(VENV)/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest -n auto --ignore=tests/test_parity.py

parity: $(VENV)/installed-parity
	$(BIN)/python -m pytest tests/test_parity.py

lint: $(VENV)/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

clean:
	rm -rf $(VENV) $(DEMO)
