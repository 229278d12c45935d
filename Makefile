# Targets of at most five lines; what is longer lives in scripts/. ARGS passes options on: make demo ARGS=--keep
SHELL := bash
BIN := .venv/bin
PYTHON_FILES := hsm_app scripts softhsm tests
.PHONY: setup demo units test check lint bench chaos model simulate mutants fuzz fmt clean softhsm peers lock wheel

setup:  ## softhsm2, .venv, locked dependencies; seconds when nothing changed
	@scripts/setup

demo:  ## five tokens, an auditor, a lost phone, a cheat and an attacker; sets up what is missing
	@scripts/demo $(ARGS)

softhsm: setup  ## one development token in build/softhsm, to play with
	@$(BIN)/python softhsm/dev_token.py --module "$$(scripts/softhsm-module)" build/softhsm $(ARGS)

units:  ## systemd units into DESTDIR (default /etc/systemd/system), checked; PROGRAM= is the hsm-vault they start
	@DESTDIR="$(DESTDIR)" PROGRAM="$(PROGRAM)" scripts/units

peers: setup  ## the foreign implementations that the tests talk to, from tests/peers
	@scripts/peers

test: setup peers  ## the whole suite, on real SoftHSM tokens
	@scripts/test-deps
	@$(BIN)/pytest -v --tb=short -n auto --dist loadfile --no-loadscope-reorder $(ARGS)

lint: setup  ## format, ruff, mypy strict, layers and house rules
	@$(BIN)/ruff format --check $(PYTHON_FILES)
	@$(BIN)/ruff check $(PYTHON_FILES)
	@$(BIN)/mypy && $(BIN)/mypy scripts/bench softhsm && $(BIN)/mypy scripts/model && $(BIN)/mypy scripts/wheel && $(BIN)/mypy -p scripts.show
	@$(BIN)/pytest tests/test_layers.py tests/test_house.py

check: lint test  ## all that a change has to pass

bench: setup  ## speed, memory and cost; writes build/bench.json
	@$(BIN)/python scripts/bench --module "$$(scripts/softhsm-module)" $(ARGS)

chaos: setup  ## real processes under faults and load: SECONDS=600, SEED=n to repeat one
	@scripts/chaos --seconds $(or $(SECONDS),180) $(if $(SEED),--seed $(SEED)) $(ARGS)

model: setup  ## the register's model, exhaustively, and bugs that it has to find; about five minutes
	@command -v spin >/dev/null && command -v gcc >/dev/null || scripts/need spin gcc libc6-dev
	@$(BIN)/python scripts/model

simulate: setup  ## the real code over a simulated world: SEEDS=10000, SEED=n to repeat one and read its transcript
	@scripts/simulate --seeds $(or $(SEEDS),10000) $(if $(SEED),--seed $(SEED)) $(ARGS)

mutants: setup  ## deliberate bugs, and how soon the simulator finds each
	@scripts/mutants $(ARGS)

fuzz: setup  ## coverage-guided fuzzing of all that reads bytes from outside: SECONDS=300, SEED=n
	@scripts/fuzz --seconds $(or $(SECONDS),300) $(if $(SEED),--seed $(SEED)) $(ARGS)

fmt: setup
	@$(BIN)/ruff format $(PYTHON_FILES)
	@$(BIN)/ruff check --fix $(PYTHON_FILES)

wheel: setup  ## dist/hsm_vault-VERSION-py3-none-any.whl of the last commit, the same bytes wherever it is built
	@$(BIN)/python scripts/wheel $(ARGS)

lock: setup  ## raise and re-lock the dependencies after a change of pyproject.toml
	@scripts/lock $(ARGS)

clean:
	rm -rf build dist .venv *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage tests/peers/node_modules
	find hsm_app scripts softhsm tests -name __pycache__ -type d -prune -exec rm -rf {} +
