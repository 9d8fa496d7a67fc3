# `make bench-linux` measures what the boot of a Linux guest costs, in Bochs (docs/performance.md). Its init is all that there is
# beside the kernel, so it is linked statically.
BOOT_COST_FILES := $(BUILD)/polyvisor.elf $(BUILD)/monitor.elf $(BUILD)/linux.elf $(BUILD)/boot-cost/init
.PHONY: bench-linux
bench-linux:
	@tools/setup peer
	@$(MAKE) --no-print-directory $(BOOT_COST_FILES)
	@$(PYTHON) tools/bench-linux --build $(BUILD) --json $(BUILD)/bench-linux.json

$(BUILD)/boot-cost/init: tools/boot-cost/init.c Makefile tools/boot-cost/boot-cost.mk
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) -std=gnu17 -O2 $(WARNINGS) -static -o $@ $<
