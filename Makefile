# What a person types here:
#
#   make run     an example CA, a log that accepts it and a monitor of both, on this machine only; says what to do next
#   make demo    a few seconds of theatre: your certificates, a rogue CA's for your number, and the alert that follows
#   make test    the tests, under five minutes           make trial   the long ones: faults, kills, other people's programs
#   make lint    ruff and mypy                           make bench   the measurements of benchmarks/
#
# Each sets up what it needs in .venv, once: the network is used the first time only, and a set-up that was interrupted
# is finished by the next call. Without a C compiler the Python kernel is used. PYTHON=... chooses the interpreter.

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; break; }; done)
PORT ?= 8460
PIP := .venv/bin/python -m pip --disable-pip-version-check
KERNEL := $(wildcard setup.py ctlog/merkle/*.c ctlog/merkle/*.h ctlog/wire/*.c ctlog/x509/*.c monitor/*.c)

.PHONY: help run demo test trial lint bench lock clean
help:
	@sed -n '/^# What/,/^$$/s/^# \{0,1\}//p' Makefile

run: .venv/.installed
	@.venv/bin/ctlog-monitor demo data --port $(PORT)

demo: .venv/.installed
	@.venv/bin/ctlog-monitor story

test: .venv/.installed
	@.venv/bin/python -m pytest -n auto -m 'not trial'

trial: .venv/.installed
	@.venv/bin/python -m pytest -m trial

lint: .venv/.installed
	@.venv/bin/ruff check .
	@.venv/bin/mypy

bench: .venv/.installed
	@for script in benchmarks/bench_*.py; do echo "== $$script"; .venv/bin/python "$$script" || exit 1; done

# A stamp is written last, so what was interrupted is done again.
.venv/.made:
	@if [ -z "$(PYTHON)" ] || ! "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then \
		echo 'Python 3.11 or later is needed: install it, or name it with make PYTHON=/path/to/python3' >&2; exit 1; fi
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
		echo 'This Python cannot make virtual environments: install them, on Debian with "apt-get install python3-venv"' >&2; \
		exit 1; }
	@.venv/bin/python -m pip --version >/dev/null 2>&1 || { \
		echo 'Making a virtual environment in .venv'; "$(PYTHON)" -m venv --clear .venv; }
	@touch $@

.venv/.packages: requirements.lock .venv/.made
	@echo 'Installing the packages of requirements.lock (needs the network, this once)'
	@$(PIP) install -q --require-hashes -r requirements.lock
	@touch $@

.venv/.installed: pyproject.toml $(KERNEL) .venv/.packages
	@$(PIP) install -q --no-index --no-deps --no-build-isolation --editable .
	@.venv/bin/ctlog --version
	@.venv/bin/ctlog --version | grep -qv 'kernel: reference' || \
		echo 'No C compiler, or no Python.h: hashing is done in Python, slower and with the same answers'
	@touch $@

# For whoever changes a dependency: writes the lock file anew. `uv` is fetched for this only.
lock: .venv/.made
	@$(PIP) install -q uv
	@(echo '# Every package with its version and hashes, for pip --require-hashes; written by `make lock`.'; \
		echo 'setuptools>=77' | .venv/bin/uv pip compile pyproject.toml - --all-extras --universal --python-version 3.11 \
		--unsafe-package nothing --generate-hashes --no-emit-index-url --no-annotate --no-header -q) > requirements.lock.new
	@mv requirements.lock.new requirements.lock

clean:
	rm -rf .venv build ctlog.egg-info ctlog/merkle/*.so ctlog/wire/*.so monitor/*.so
