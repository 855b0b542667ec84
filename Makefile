# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Two commands matter: "make demo" and "make test". They need Python 3.11 or newer with venv, nothing else;
# what is missing is fetched from package registries into .cache.

PYTHON ?= python3
NOX := .cache/nox/bin/nox

.PHONY: demo test lint bench clean

demo test bench: $(NOX)
	@$(NOX) --session $@

lint: $(NOX)
	@$(NOX) --session lint docs changelog

clean:
	rm -rf .cache

$(NOX): tests/constraints/nox.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11 ...")'
	@echo "Making .cache/nox ..." >&2
	@rm -rf .cache/nox
	@$(PYTHON) -m venv .cache/nox
	@.cache/nox/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --requirement $<
	@touch $@
