# `make bench` measures what the multiplexer costs, in Bochs, and writes build/bench.json (docs/performance.md); then a guest's boot
# (bench-linux).
# COUNT_VMX=1 builds a multiplexer that counts its VMX instructions; `make bench` does that in $(BUILD)/count.
ifdef COUNT_VMX
RING0 += -DPOLYVISOR_COUNT_VMX
RING0_ASM += -DPOLYVISOR_COUNT_VMX
endif

BENCH_FILES := polyvisor.elf monitor.elf bench.elf
.PHONY: bench bench-baseline
bench-baseline:
	@tools/setup run
	@$(MAKE) --no-print-directory $(BENCH_FILES:%=$(BUILD)/%)
	@$(PYTHON) tools/bench --build $(BUILD) --baseline
bench:
	@tools/setup run
	@$(MAKE) --no-print-directory $(BENCH_FILES:%=$(BUILD)/%)
	@$(MAKE) --no-print-directory COUNT_VMX=1 BUILD=$(BUILD)/count $(BENCH_FILES:%=$(BUILD)/count/%)
	@$(PYTHON) tools/bench --build $(BUILD) --json $(BUILD)/bench.json
	@$(MAKE) --no-print-directory bench-linux
