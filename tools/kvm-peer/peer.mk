# `make bench-peer` measures the same guest code under Polyvisor and under KVM, in Bochs (docs/experiments.md).
# The client is a program for Linux: a static one, for it is all that there is beside the kernel.
PEER_FILES := $(BUILD)/polyvisor.elf $(BUILD)/monitor.elf $(BUILD)/bench.elf $(BUILD)/kvm-peer/init
.PHONY: bench-peer
bench-peer:
	@tools/setup peer
	@$(MAKE) --no-print-directory $(PEER_FILES)
	@$(PYTHON) tools/kvm-peer/peer --build $(BUILD) --json $(BUILD)/bench-peer.json --chart $(BUILD)/bench-peer.svg

PEER_OBJ := $(patsubst %,$(BUILD)/kvm-peer/%.o,$(wildcard tools/kvm-peer/*.c) vmm/personalities/bench/guests.asm)
$(BUILD)/kvm-peer/%.c.o: %.c Makefile tools/kvm-peer/peer.mk
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) -std=gnu17 -O2 -g $(WARNINGS) -I. -MMD -MP -c $< -o $@
$(BUILD)/kvm-peer/%.asm.o: %.asm Makefile tools/kvm-peer/peer.mk
	@mkdir -p $(@D)
	$(call say,NASM,$<)$(NASM) -f elf64 -Werror -MD $@.d -MT $@ -MP $< -o $@
$(BUILD)/kvm-peer/init: $(PEER_OBJ)
	$(call say,LD,$@)$(CC) -static -o $@ $^
