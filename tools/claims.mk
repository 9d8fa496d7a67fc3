# `make claims` shows that VMX can be shared, claim by claim, and fails if one does not hold (docs/experiments.md).
CLAIMS_FILES := $(BUILD)/polyvisor.elf $(BUILD)/monitor.elf $(BUILD)/tiny.elf $(BUILD)/bench.elf $(BUILD)/tests/entry_modes.elf
.PHONY: claims
claims:
	@tools/setup run
	@$(MAKE) --no-print-directory $(CLAIMS_FILES)
	@$(MAKE) --no-print-directory DEBUG=1 BUILD=$(BUILD)/debug $(BUILD)/debug/polyvisor.elf
	@$(PYTHON) tools/claims --build $(BUILD) --json $(BUILD)/claims.json
