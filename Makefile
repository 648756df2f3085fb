# Nothing is installed outside this folder but by test-system, which says so.
PYTHON ?= python3
DEMO_SECONDS ?=
# The build for CPUs: the plain one for Linux brings several GB of CUDA libraries.
TORCH ?= torch==2.13.0+cpu
HOST_TESTS = tests/handmap tests/runtime tests/clients

.PHONY: demo setup test test-adapters lint lint-3.10 docs bench soak mutants kill-test fuzz fuzz-c kernels test-gpu test-monitoring test-system test-image release test-release clean

# ---- for a user -------------------------------------------------------------------------------------------------------

demo: .venv-demo/ready
	.venv-demo/bin/python -m clients.demo $(if $(DEMO_SECONDS),--seconds $(DEMO_SECONDS))

.venv-demo/ready: pyproject.toml setup.py .ci/install-locked $(wildcard constraints/demo-*.txt)
	@echo 'installing once into .venv-demo; this may take a minute or two'
	$(PYTHON) -m venv .venv-demo
	.ci/install-locked .venv-demo demo host
	touch $@

# ---- for a developer --------------------------------------------------------------------------------------------------

setup: .venv/ready

.venv/ready: pyproject.toml setup.py .ci/make-venv .ci/install-locked $(wildcard constraints/develop-*.txt)
	.ci/make-venv $(PYTHON) $(TORCH)
	touch $@

# All that this Python can run; the last line says what it cannot.
test: .venv/ready
	.venv/bin/pytest -rfEs

lint: .venv/ready
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

# The interpreters of the boards: the daemon, its library and the clients must work there.
.venv-3.%/ready: pyproject.toml setup.py
	python=$$(.ci/find-python 3.$*) && "$$python" -m venv .venv-3.$*
	.venv-3.$*/bin/pip install --quiet --disable-pip-version-check -e .[host,test] mypy types-PyYAML
	touch $@

lint-3.10: .venv-3.10/ready
	.venv-3.10/bin/mypy handmap runtime clients export/to_engine.py export/engine_plan.py export/engine_progress.py export/engine_replay.py export/engine_request.py export/engine_store.py $(HOST_TESTS)

test-3.%: .venv-3.%/ready
	.venv-3.$*/bin/pytest $(HOST_TESTS)

# What hands are turned into, with the real packages of others: each in an environment of its own, with tests/adapters/NAME.txt and,
# without what it asks for, NAME.alone.txt. Python 3.11, which all of them have wheels for; needs the network the first time.
ADAPTERS ?= pyopenxr pythonosc hts isaacteleop mcap lerobot discovery dex_retargeting
ADAPTER_EXTRAS = test
test-adapters: $(ADAPTERS:%=test-adapter-%)

test-adapter-%: .venv-adapters-%/ready
	.venv-adapters-$*/bin/pytest -rs tests/adapters/test_$*.py

.PRECIOUS: .venv-adapters-%/ready
.venv-adapters-lerobot/ready .venv-adapters-dex_retargeting/ready: ADAPTER_TORCH = '$(TORCH)'
.venv-adapters-dex_retargeting/ready: ADAPTER_EXTRAS = host,test,robot
.venv-adapters-%/ready: tests/adapters/%.txt pyproject.toml setup.py
	python=$$(.ci/find-python 3.11) && "$$python" -m venv --clear .venv-adapters-$*
	if [ -n "$(ADAPTER_TORCH)" ]; then .venv-adapters-$*/bin/pip install --quiet --disable-pip-version-check $(ADAPTER_TORCH) || echo "no $(TORCH): pip chooses the build of torch"; fi
	.venv-adapters-$*/bin/pip install --quiet --disable-pip-version-check -e .[$(ADAPTER_EXTRAS)] 'rosbags>=0.11.9' -r $<
	if [ -f tests/adapters/$*.alone.txt ]; then .venv-adapters-$*/bin/pip install --quiet --disable-pip-version-check --no-deps -r tests/adapters/$*.alone.txt; fi
	touch $@

# An hour of the daemon at 60 frames a second: figures and plot into docs/measured; stop other work meanwhile.
SOAK_MINUTES ?= 60
soak: .venv/ready
	.venv/bin/python -m docs.measured.soak $(SOAK_MINUTES) docs/measured

# How many small changes of the tracker and the daemon the tests notice; hours. Score and survivors into docs/measured.
MUTANTS ?= 300
mutants: .venv/ready
	.venv/bin/python -m tests.mutants --sample $(MUTANTS) --seed 1 --jobs 2 --out docs/measured/mutants.json

# Kills export, calibrate, record, train and run at a hundred moments each; an hour.
kill-test: .venv/ready
	.venv/bin/python -m tests.kills

# Everything that reads datagrams, in Python and in C, under coverage-guided fuzzers, FUZZ_SECONDS each; finds stay in .cache.
FUZZ_SECONDS ?= 600
fuzz: .venv-fuzz/ready fuzz-c
	mkdir -p .cache/fuzz
	.venv-fuzz/bin/python -m tests.fuzz_wire $(FUZZ_SECONDS) .cache/fuzz

.venv-fuzz/ready: pyproject.toml setup.py
	$(PYTHON) -m venv .venv-fuzz
	.venv-fuzz/bin/pip install --quiet --disable-pip-version-check -e . 'atheris>=3.0'
	touch $@

fuzz-c: .venv/ready
	.venv/bin/python -m tests.support.codec_cases .cache/fuzz-c/found
	clang -std=c99 -g -O1 -fsanitize=fuzzer,address,undefined -o .cache/fuzz-c/fuzz clients/c/fuzz.c
	.cache/fuzz-c/fuzz -max_len=1210 -max_total_time=$(FUZZ_SECONDS) -artifact_prefix=.cache/fuzz-c/ .cache/fuzz-c/found

# On a machine with an NVIDIA card, in a Python that has CuPy: prints what it skips and why, and the crop's microseconds.
GPU_PYTHON ?= .venv/bin/python
GPU_JSON ?=
test-gpu:
	$(GPU_PYTHON) -m pytest tests/gpu -rs
	$(GPU_PYTHON) -m tests.gpu.bench $(GPU_JSON)

# As root: installs systemd-container, mmdebstrap and qemu from Debian where they are missing.
test-system: .venv/ready
	.ci/system service

# As root, as above. The packages of all boards, and an emulated arm64 image with the service in it; hundreds of MB the first time.
test-image: .venv/ready .venv-3.10/ready .venv-3.12/ready
	.ci/system image

# Alerts under promtool, and the dashboard's queries in a real Prometheus that reads a running daemon; both from Debian, into .cache.
test-monitoring: .venv/ready
	.ci/prometheus
	HANDMAP_MONITORING_TESTS=1 .venv/bin/pytest tests/monitoring -rs

# The crop kernel for the boards' GPUs; needs no GPU. Run it after every change of handmap/engines/kernels/crop.cu.
kernels: .venv/ready .cache/kernel-compilers/kernel_compilers.txt
	.venv/bin/python -m export.compile_kernels .cache/kernel-compilers

.cache/kernel-compilers/kernel_compilers.txt: export/kernel_compilers.txt
	rm -rf $(@D)
	.venv/bin/pip install --quiet --disable-pip-version-check --no-deps --target $(@D) -r $<
	cp $< $@

# The documentation as a site; a warning, such as a link that leads nowhere, fails.
docs: .venv-docs/ready
	rm -rf site reference
	.venv-docs/bin/sphinx-build -q -E -W --keep-going -c docs -d .cache/doctrees . site

.venv-docs/ready: pyproject.toml setup.py
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/pip install --quiet --disable-pip-version-check -e .[docs]
	touch $@

# Everything that a release consists of in one folder, signed by RELEASE_KEY, the fingerprint of a key in GnuPG's keyring. The packages
# of all boards: hundreds of MB the first time. RELEASE_OPTIONS='--target jetpack6 --previous dist/release-0.1.0' takes less, or keeps more.
RELEASE_OUT ?= dist/release
RELEASE_OPTIONS ?=
release: .venv/ready .venv-release/ready
	.venv/bin/python -m flash.make_release --out $(RELEASE_OUT) --cyclonedx .venv-release/bin/cyclonedx-py $(RELEASE_OPTIONS)

.venv-release/ready: flash/release_tools.txt
	$(PYTHON) -m venv .venv-release
	.venv-release/bin/pip install --quiet --disable-pip-version-check -r $<
	touch $@

# As root: two releases, installed, upgraded, downgraded and purged by apt from their repository in a clean Debian.
test-release: .venv/ready .venv-release/ready
	.ci/system release

bench: .venv/ready
	.venv/bin/handmap bench --bundle models/handmap-hand21 --json

clean:
	rm -rf .venv .venv-demo .venv-fuzz .venv-docs .venv-release .venv-3.10 .venv-3.12 .venv-adapters-* build dist site *.egg-info
