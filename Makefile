# The two commands: `make run` tries the template out, `make test` tests it.
# Both need Python 3.11 or newer, its venv module, and a package index; nothing else.

PYTHON ?= python3

.DEFAULT_GOAL := help
.PHONY: help run play test check format benchmark faults clean

help: ## say what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Every tool comes from .venv; uv uses the Python that made it and downloads no other.
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export UV_PYTHON = $(CURDIR)/.venv/bin/python
export UV_PYTHON_DOWNLOADS ?= never
# pip trusts the certificates that the system trusts; so shall uv, where the system has a list.
ifneq ($(wildcard /etc/ssl/cert.pem /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt),)
export UV_SYSTEM_CERTS ?= 1
endif

run: | .baked/run ## start the project of the default answers, which is made the first time
	@cd .baked/run/* && echo "Starting $$(pwd); make clean removes it." \
		&& echo "Open http://127.0.0.1:$${APP_PORT:-8000} in two windows; Ctrl-C ends it." \
		&& $(MAKE) --no-print-directory run

play: .venv/.run ## make another project each time: make play auth=none license=BSD-3-Clause
	@$(if $(UNKNOWN),echo "No prompt is called $(UNKNOWN); they are: $(PROMPTS)" >&2; exit 1)
	@echo "Making a project in .baked/play, in place of the one before ..."
	@rm -rf .baked/next && mkdir -p .baked
	@# Where cookiecutter fails by itself, the last line of its traceback says why.
	@$(BAKE) .baked/next $(ANSWERS) 2>.baked/why || { \
		sed -e '/^Traceback/,$$!b' -e '$$!d' -e 's/^[A-Za-z.]*Error: //' .baked/why >&2; exit 1; }
	@rm -rf .baked/play && mv .baked/next .baked/play
	@cd .baked/play/* && echo "It is in $$(pwd); uv, which it needs, is in $(CURDIR)/.venv/bin." && $(MAKE) --no-print-directory

# What stands on make's command line, each value by the environment, so that it may hold quotes.
ANSWERS = $(foreach key,$(filter $(PROMPTS),$(SAID)),$(key)="$$$(key)")
SAID = $(foreach key,$(.VARIABLES),$(if $(findstring command line,$(origin $(key))),$(key)))
UNKNOWN = $(filter-out $(PROMPTS) PYTHON UV_%,$(SAID))
PROMPTS = $(shell sed -n 's/^  "\([a-z][a-z_]*\)": ["[].*/\1/p' cookiecutter.json)

BAKE = cookiecutter . --no-input --default-config --output-dir

.baked/run: | .venv/.run
	@echo "Making the project in $@ ..."
	@rm -rf .baked/next
	@$(BAKE) .baked/next >/dev/null
	@mv .baked/next $@

test: .venv/.test ## test the template and what it makes; make test args="-k refusals" some of it
	@echo "Testing, two at a time. The suites of the generated projects take most of the time."
	@pytest -v -n 2 $(args)

check: .venv/.test ## lint the template as it stands, and everything around it
	@ruff check --extend-exclude adapters.py .
	@ruff format --check --extend-exclude adapters.py .

format: .venv/.test ## put the sources in shape
	@ruff check --fix-only --extend-exclude adapters.py .
	@ruff format --extend-exclude adapters.py .

benchmark: .venv/.run ## compare what a delivery costs: make benchmark PEERS=fastapi,node-ws args="--quick"
	@python -m benchmarks $(if $(PEERS),--peers "$(PEERS)") $(args)

faults: .venv/.run ## try a service in bad company: make faults args="stalled drain --quick"
	@python -m benchmarks.faults $(or $(args),all)

clean: ## remove what make made
	rm -rf .venv .baked benchmarks/.work

# One stamp per interpreter: another PYTHON makes .venv anew.
PYTHON_STAMP := .venv/.made-by-$(subst /,-,$(PYTHON))

$(PYTHON_STAMP):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "$(PYTHON) is not Python 3.11 or newer; name one that is: make $(MAKECMDGOALS) PYTHON=python3.13" >&2; \
		exit 1; }
	@echo "Creating .venv ..."
	@rm -rf .venv
	@$(PYTHON) -m venv .venv || { \
		rm -rf .venv; \
		echo "$(PYTHON) cannot create environments; on Debian and Ubuntu: apt install python3-venv" >&2; \
		exit 1; }
	@touch $@

.venv/.run: pyproject.toml $(PYTHON_STAMP)
	@echo "Installing uv and cookiecutter into .venv ..."
	@python -m pip install -qq --disable-pip-version-check $$(python -c 'import tomllib; \
		print(*tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"]["run"])')
	@touch $@

.venv/.test: .venv/.run
	@echo "Installing what the tests need into .venv ..."
	@uv pip install --quiet --group test
	@touch $@
