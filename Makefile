# Needs git, make and Python 3.11 or later; on Debian and Ubuntu it installs ffmpeg and python3-venv where they are missing.

PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 5000
BIN := .venv/bin
CODE := sam2_cog predict.py samples tests tools benchmarks deploy
DEMO := outputs/demo
APT := $(if $(filter-out 0,$(shell id -u)),sudo) env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --progress-bar off
CLICKS := --click-coordinates "[80,222],[556,96]" --click-object-ids "bird_1,bird_2"
PEERS := label-studio x-anylabeling datumaro ultralytics ray

define CURL
curl -s http://localhost:$(PORT)/predictions -H 'Content-Type: application/json' \
  -d '{"input": {"video": "samples/two_birds.mp4", "click_coordinates": "[80,222],[556,96]"}}' \
  | python3 -c 'import base64, json, sys; open("birds.mp4", "wb").write(base64.b64decode(json.load(sys.stdin)["output"].split(",")[1]))'
endef
export CURL

.PHONY: help demo ui test test-debian test-ffmpeg test-integrations test-wheel serve weights bench fuzz lint train-demo chromium system
.DELETE_ON_ERROR:

help: ## Say what there is
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 20

demo: export OMP_NUM_THREADS = 1 # the demo network is too small to gain from more, and loses on a busy machine
demo: .venv/installed ## Run the main job on samples/ with the demo model, on any machine
	@mkdir -p $(DEMO)
	$(BIN)/sam2-cog segment samples/two_birds.mp4 --model demo $(CLICKS) --output $(DEMO)/two_birds.mp4
	$(BIN)/sam2-cog segment samples/two_birds.mp4 --model demo $(CLICKS) --mask-type binary --output-format png --output $(DEMO)/two_birds_masks.zip
	$(BIN)/python -m tools.before_after samples/two_birds.mp4 $(DEMO)/two_birds.mp4 $(DEMO)/before_after.jpg
	@ls -l $(DEMO)

ui: .venv/installed ## Open the page to click in: make ui [VIDEO=clip.mp4] [MODEL=large]; the sample with demo without
	OMP_NUM_THREADS=1 $(BIN)/sam2-cog ui $(or $(VIDEO),samples/two_birds.mp4) --model $(or $(MODEL),demo)

test: .venv/installed-dev ## Run the tests, two files at a time
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test-debian: ## Run the demo and the tests in a fresh Debian, as root: make test-debian [SUITE=trixie]
	tools/test_debian.sh $(or $(SUITE),trixie)

test-ffmpeg: .venv/installed-dev ## Run tests with the ffmpeg of another Debian, as root: make test-ffmpeg [SUITE=bullseye]
	tools/test_debian.sh $(or $(SUITE),bullseye) ffmpeg

test-integrations: .venv/installed-dev $(PEERS:%=.integrations/%/installed) | chromium ## Run the real Label Studio, X-AnyLabeling, Datumaro, Ultralytics, Ray and torch's compiler against this
	$(BIN)/python -m pytest tests/integrations

test-wheel: .venv/installed ## Build the wheel, install it elsewhere and run the main job with it
	tools/test_wheel.sh $(BIN)/python

serve: .venv/installed ## Start Cog's HTTP server without Docker: make serve [MODEL=large] [PORT=5000] [HOST=127.0.0.1]; demo without MODEL
	@printf '\nWhen it says that setup is complete, in another terminal:\n\n%s\n\n' "$$CURL"
	SAM2_MODEL=$(or $(MODEL),demo) HOST=$(HOST) PORT=$(PORT) $(BIN)/python -m tools.serve

weights: .venv/installed ## Fetch a checkpoint and check it: make weights [MODEL=tiny]; large without MODEL
	$(BIN)/sam2-cog weights fetch $(or $(MODEL),large)

bench: .venv/installed-dev ## Measure memory, many objects and speed beside the official tracker
	@$(PIP) -e '.[bench]'
	$(BIN)/python -m benchmarks.memory
	$(BIN)/python -m benchmarks.objects
	$(BIN)/python -m benchmarks.tracker
	$(BIN)/python -m benchmarks.outputs

fuzz: .venv/installed-dev ## Try 100,000 random requests and 2,000 damaged files, new ones each time: an hour
	FUZZ_STRINGS=100000 FUZZ_FILES=2000 $(BIN)/python -m pytest tests/fuzz

lint: .venv/installed-dev ## Check style and types
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mypy $(CODE)

train-demo: .venv/installed-dev ## Train the demo model anew: hours on a CPU
	$(BIN)/python -m tools.train_demo train --out outputs/demo.pt

# The two stamps below make a second call instant, and a changed requirement installs anew.

.venv/installed: requirements.txt pyproject.toml sam2_cog/__init__.py | system
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing into .venv: the first time this fetches some gigabytes"
	@$(PIP) -e .
	@touch $@

.venv/installed-dev: .venv/installed
	@$(PIP) -e '.[dev]'
	@$(PIP) --no-deps vos-benchmark==0.1.0 # it asks for an OpenCV that would replace ours
	@touch $@

.integrations/%/installed: tests/integrations/%.txt | system
	@test -x .integrations/$*/bin/python || $(PYTHON) -m venv .integrations/$*
	@echo "Installing $* into .integrations/$*: the first time this takes some minutes"
	@.integrations/$*/bin/python -m pip install --quiet --disable-pip-version-check --progress-bar off -r $<
	@touch $@

chromium:
	@command -v chromium >/dev/null || { $(APT) update && $(APT) install -y chromium; }

system:
	@command -v ffmpeg >/dev/null && command -v ffprobe >/dev/null || { $(APT) update && $(APT) install -y ffmpeg; }
	@test -x $(BIN)/python || $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { $(APT) update && $(APT) install -y python3-venv; }
