# Two doors: `make validate` (the main job) and `make test`. Both set everything up, then call tox.
# `make` alone installs the locked environment into .venv, so that .venv/bin/{assay,chaos,locust} work.

PYTHON ?= python3
VENV := .venv
LOCK := requirements/lock.txt

export UV_PYTHON_DOWNLOADS := never

.PHONY: install validate test lock clean

install: $(VENV)/.installed

$(VENV)/.installed: $(LOCK) requirements/bootstrap.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14) and "assay needs Python 3.11, 3.12 or 3.13: name one with make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.txt
	$(VENV)/bin/uv pip install --quiet --python $(VENV)/bin/python --require-hashes -r $(LOCK)
	$(VENV)/bin/uv pip install --quiet --python $(VENV)/bin/python --no-deps --editable .
	touch $@

validate: install
	$(VENV)/bin/tox run -e validate -- $(ARGS)

test: install
	$(VENV)/bin/tox run-parallel --parallel auto --parallel-no-spinner -e lint,types,py311,py312,py313,ansible
	$(VENV)/bin/tox run -e cluster

# Raise the locked versions within pyproject.toml's bounds.
lock: install
	$(VENV)/bin/uv pip compile --upgrade --universal --python-version 3.11 --generate-hashes --no-header --quiet \
		--extra dask --group test --group quality --group tool --group workloads pyproject.toml -o $(LOCK)
	$(VENV)/bin/uv pip compile --upgrade --python-version 3.11 --python-platform x86_64-manylinux_2_28 --generate-hashes \
		--no-header --quiet --group pyproject.toml:workloads -o workloads/requirements.txt
	echo uv | $(VENV)/bin/uv pip compile --upgrade --universal --python-version 3.11 --generate-hashes --no-header \
		--quiet - -o requirements/bootstrap.txt

clean:
	rm -rf $(VENV) .tox .mypy_cache .ruff_cache .pytest_cache .hypothesis
