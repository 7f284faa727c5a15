# One word per task; `make` alone prints the list. Everything lives in .venv; nothing is installed outside it,
# except Debian's chromium for the browser tests, where this runs as root on a machine with apt.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
TORCH_INDEX ?=
BIN := .venv/bin
PIP := $(BIN)/uv pip install --quiet --python $(BIN)/python
UV_VERSION := 0.13.9
TORCH := $(shell sed -n 's/^\(torch==[^ ]*\).*/\1/p' requirements/torch.txt)

.PHONY: help setup demo test test-cluster cluster-box cluster-api cluster-played cluster-real images e2e e2e-short check fix crds bench bench-overload bench-operator errors picture lock clean

help:  ## print this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/test.stamp  ## make .venv with everything that the tests and the demo need

demo: .venv/runtime.stamp  ## stream real recordings through a real server and print captions with their latency
	@$(BIN)/weir demo

test: check .venv/chromium.stamp  ## what CI runs: checks, NeMo parity and the browser, then a real API server
	$(BIN)/pytest -q -m "parity or browser"
	$(MAKE) --no-print-directory cluster-api

test-cluster: cluster-api cluster-played cluster-real  ## all tests on a real Kubernetes (half an hour), one after the other

cluster-box: .venv/test.stamp  ## what a cluster on this machine needs: Debian's packages, Kubernetes compiled once
	hack/debian.sh
	@if [ -z "$${KUBECONFIG:-}" ] && command -v go > /dev/null; then hack/cluster build; fi

cluster-api: cluster-box  ## the definition, the children and the charts against a real API server
	$(BIN)/pytest -q -m cluster tests/cluster/test_crd.py tests/cluster/test_children.py tests/cluster/test_operator_api.py tests/cluster/test_examples.py tests/charts

cluster-played: cluster-box  ## the operator on a real control plane, with pods that nothing runs
	$(BIN)/pytest -q -m cluster --timeout=900 tests/cluster/operated

cluster-real: cluster-box  ## control plane and nodes themselves, the operator's shell, Helm, real pods, the README
	for part in real test_box.py test_ingress.py test_control_plane.py test_chart.py test_operator_shell.py test_readme.py; do \
	  $(BIN)/pytest -q -m cluster --timeout=900 tests/cluster/$$part; done

images:  ## container images of operator and runtime by buildah, into ~/.cache/weir
	hack/debian.sh
	hack/images

e2e: cluster-box  ## the whole product in a cluster, through its front door, disturbed in every way; into docs/e2e-report.md
	hack/e2e

e2e-short: cluster-box  ## the short form: install, apply, one stream, one rung, one rollout, uninstall
	hack/e2e --short

check: .venv/test.stamp  ## format, lint, types, boundaries, fast tests
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -q -m "not parity and not browser and not cluster" --cov --cov-report=term-missing:skip-covered

fix: .venv/test.stamp  ## format and repair what a tool can repair
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

crds: .venv/test.stamp  ## write the CRD, its copy in the chart and docs/pipeline.md anew from the models
	$(BIN)/python hack/crds.py

bench: .venv/test.stamp  ## speed and memory as ratios, one run
	$(BIN)/python hack/bench.py

bench-overload: .venv/test.stamp  ## a real server at twice its capacity, into docs/overload.md
	$(BIN)/python hack/overload.py

bench-operator: .venv/test.stamp  ## 300 pipelines of 10 pods on a real API server, into docs/bench-operator.md
	hack/debian.sh
	hack/cluster build
	$(BIN)/python hack/bench_operator.py

errors: .venv/test.stamp  ## word error rates of the embedded models, into docs/error-rates.md
	$(BIN)/python hack/error_rates.py > docs/error-rates.md

picture: .venv/chromium.stamp  ## the captions page while it works, into docs/captions.png
	$(BIN)/python hack/screenshot.py

lock: .venv/uv.stamp  ## resolve requirements/*.txt anew
	PATH=$(CURDIR)/$(BIN):$$PATH $(BIN)/python hack/lock.py

clean:  ## remove .venv and caches
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage

.venv/uv.stamp:
	$(PYTHON) hack/check_python.py
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	touch $@

.venv/runtime.stamp: .venv/uv.stamp pyproject.toml requirements/operator.txt requirements/runtime.txt requirements/torch.txt requirements/gpu.txt
	$(PIP) --no-deps --require-hashes -r requirements/operator.txt -r requirements/runtime.txt
ifeq ($(TORCH_INDEX),)
	$(PIP) --no-deps --require-hashes -r requirements/torch.txt -r requirements/gpu.txt
else
	$(PIP) --no-deps $(TORCH) --index $(TORCH_INDEX)
endif
	$(PIP) --no-deps --editable .
	touch $@

.venv/test.stamp: .venv/runtime.stamp requirements/test.txt
	$(PIP) --no-deps --require-hashes -r requirements/test.txt
	touch $@

.venv/chromium.stamp: .venv/test.stamp
	hack/chromium.sh
	touch $@
