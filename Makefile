PYTHON = .venv/bin/python

.PHONY: help env kernels test slow lint types format compare bench accuracy pictures docs docs-serve simulate dimbugs names cost check-world matrix wheel clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

env: .venv/bin/pytest ## make .venv with everything that development needs

.venv/bin/pytest: pyproject.toml constraints.txt
	python3 -m venv .venv && .venv/bin/pip install -c constraints.txt -e ".[dev]"
	@touch $@

kernels: ## build the library of CPU kernels again, beside its sources
	$(PYTHON) hatch_build.py

wheel: ## a wheel with the kernels, in dist/
	$(PYTHON) -m pip wheel --no-deps --wheel-dir dist .

test: env ## run the tests
	$(PYTHON) -m pytest

slow: env ## the tests that take minutes or most of the memory
	$(PYTHON) -m pytest -n 0 -m slow

lint: env ## ruff: rules and format; who may import whom
	$(PYTHON) -m ruff check . && $(PYTHON) -m ruff format --check . && .venv/bin/lint-imports --no-cache

types: env ## pyright
	$(PYTHON) -m pyright --pythonpath $(PYTHON)

format: env ## put the code into ruff's format
	$(PYTHON) -m ruff format . && $(PYTHON) -m ruff check --fix .

compare: env ## the main job, on built-in data
	.venv/bin/anymax compare digits

bench: env ## every op beside its rivals, into bench/results/<machine>; wants an otherwise idle machine
	.venv/bin/anymax bench --out bench/results

accuracy: env ## the errors of the ops, into docs/accuracy.md
	.venv/bin/anymax bench --accuracy --out docs

pictures: env ## the pictures of the docs, into docs/pictures
	PATH="$(CURDIR)/.venv/bin:$$PATH" sh docs/pictures/make.sh

docs: env ## the docs as a site, into site/; open site/index.html, no server is needed
	NO_MKDOCS_2_WARNING=1 $(PYTHON) -m mkdocs build

docs-serve: env ## the same at http://127.0.0.1:8000, built again after each change
	NO_MKDOCS_2_WARNING=1 $(PYTHON) -m mkdocs serve

simulate: env ## how often verdicts are right, into docs/how-sure-a-verdict-is.md; hours, goes on where it stopped
	$(PYTHON) -m tests.lab.statistics.simulate --runs 1000 --out docs/how-sure-a-verdict-is.md
	$(PYTHON) -m tests.lab.whole_runs --runs 200 --out docs/how-sure-a-verdict-is.md

dimbugs: env ## what each engine finds of the buggy and fixed pairs of tests/dimbugs
	$(PYTHON) -m tests.dimbugs.score

names: env ## the table of the names that torch and Lightning have, for `anymax check`
	$(PYTHON) -m tests.inspect.check.make_names

cost: env ## what `anymax.watch` adds to a step of training, and the seconds of `anymax.probe`; wants an idle machine
	$(PYTHON) -m tests.inspect.cost

check-world: env ## what `anymax check` finds in five large packages, which are fetched and read, into build/world
	$(PYTHON) -m tests.inspect.check.world build/world

matrix: ## the tests of the ops and of what looks into torch on the oldest, the pinned and the newest torch (gigabytes)
	bash tests/matrix.sh tests/_core tests/noise tests/ops tests/nn tests/test_laws.py tests/test_opinfo.py \
		tests/inspect/exported tests/inspect/test_graph.py tests/inspect/test_watching.py tests/inspect/test_probing.py

clean: ## remove what tools left behind
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis .inductor_cache .matrix build dist site anymax/_core/native/kernels.so*
