# make demo   from nothing to a served prediction        make test    every test
# make setup  the environments alone                     make check   lint, types, layers, docs
# make clean  end what runs, remove what was made        make lock    resolve the lock files anew

PORT ?= 4566
PYTHON ?= $(shell for p in python3.13 python3 python3.12 python3.11 /usr/bin/python3; do \
	$$p -c 'import ensurepip, venv' >/dev/null 2>&1 && echo $$p && break; done)
UV := .tools/bin/uv
BIN := .venv/bin
LOCKS := requirements/dev.lock $(wildcard sagestack/images/*/requirements.lock)
say = @printf '\033[1m==>\033[0m %s\n' $(1)

# What a shell may carry must not reach the environments that are built here.
unexport PYTHONDONTWRITEBYTECODE PYTHONPATH PYTHONHOME VIRTUAL_ENV CONDA_PREFIX
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: demo setup test check clean lock docs bench e2e

demo: setup
	$(BIN)/sagestack up --port $(PORT) --hold-stacks 30
	AWS_ENDPOINT_URL=http://127.0.0.1:$(PORT) $(BIN)/python -m mlops.level0 run

setup: .venv/.installed node_modules/.installed .venv/.images

test: setup
	$(BIN)/python -m pytest tests -n 2 --dist loadfile

e2e: setup
	$(BIN)/python -m pytest tests/e2e

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy infra sagestack mlops
	$(BIN)/python -m sagestack.fidelity --check docs/fidelity.md
	$(BIN)/python -m pytest tests/architecture

docs: setup
	$(BIN)/python -m sagestack.fidelity docs/fidelity.md

bench: setup
	$(BIN)/python benchmarks/deploy.py
	$(BIN)/python benchmarks/job_overhead.py

clean:
	@if [ -x $(BIN)/sagestack ]; then $(BIN)/sagestack down --port $(PORT); fi
	rm -rf .venv .tools node_modules cdk.out .demo build *.egg-info .pytest_cache .mypy_cache .ruff_cache

$(UV): requirements/tools.lock
	@if [ -z "$(PYTHON)" ]; then \
	  echo "no Python 3.11 or later with venv found: install Python (on Debian and Ubuntu: python3-venv)"; \
	  echo "or name one: make setup PYTHON=/path/to/python3"; exit 1; fi
	$(call say,"the package installer uv")
	@$(PYTHON) -m venv --clear .tools
	@.tools/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/tools.lock
	@touch $@

.venv/.installed: requirements/dev.lock pyproject.toml .python-version | $(UV)
	$(call say,"the project's environment (about a minute the first time)")
	@$(UV) python find --quiet $$(cat .python-version) >/dev/null 2>&1 \
	  || $(UV) python install $$(cat .python-version) \
	  || { echo "Python $$(cat .python-version) was not found and can't be downloaded: install it (pyenv install $$(cat .python-version))"; exit 1; }
	@[ -x $(BIN)/python ] || $(UV) venv --quiet --python $$(cat .python-version) .venv
	@$(UV) pip sync --quiet --compile-bytecode --require-hashes --python $(BIN)/python requirements/dev.lock
	@$(UV) pip install --quiet --no-deps --no-build-isolation --python $(BIN)/python --editable .
	@touch $@

node_modules/.installed: package-lock.json package.json | .venv/.installed
	$(call say,"the AWS CDK command line")
	@$(BIN)/npm ci --loglevel=error --no-audit --no-fund
	@touch $@

.venv/.images: $(LOCKS) | .venv/.installed
	$(call say,"LocalStack and the images")
	@$(BIN)/sagestack build
	@touch $@

COMPILE := $(UV) pip compile --quiet --python-version 3.13 --universal --generate-hashes \
	--custom-compile-command 'make lock'

lock: $(UV)
	$(COMPILE) pyproject.toml --group dev -o requirements/dev.lock
	$(COMPILE) sagestack/images/localstack/requirements.in -o sagestack/images/localstack/requirements.lock
	for image in sklearn xgboost glue-shell tuner; do $(COMPILE) -c requirements/dev.lock \
	  sagestack/images/$$image/requirements.in -o sagestack/images/$$image/requirements.lock; done
	$(COMPILE) requirements/sdk-v2.in -o requirements/sdk-v2.lock
	$(UV) --version | awk '{print "uv==" $$2}' | $(COMPILE) - -o requirements/tools.lock
