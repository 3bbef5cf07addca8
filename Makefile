# `make help` lists the targets.
PYTHON_IN_VENV := .venv/bin/python

.DEFAULT_GOAL := help
.PHONY: help setup demo test quick bench check format clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 16

setup: ## install what is missing: packages of the distribution, then .venv
	@scripts/setup

demo: setup ## two Wi-Fi bridges woven into one, unplugged and replugged, with table and chart
	.venv/bin/plait lab run wifi-bridges

test: setup ## every check and test, the cheap ones first
	@scripts/test

quick: setup ## the same without the tests on a real kernel
	@scripts/test quick

bench: setup ## figures beside those of HAProxy and shadowsocks-libev
	$(PYTHON_IN_VENV) -m tests.bench

check: setup ## formatting, style and types only
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy

format: setup ## put the source into shape
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

clean: ## remove what was made, .venv too
	rm -rf .venv build dist out .mypy_cache .ruff_cache .pytest_cache .hypothesis src/plait.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
