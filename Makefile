# Polyvisor. `make run` and `make test` set up what is missing, build, and go; see README.md and docs/building.md.
BUILD ?= build
CC := gcc
HOSTCC ?= gcc
LD := ld
NASM := nasm
OBJCOPY := objcopy
PYTHON := /usr/bin/python3

# Reproducible: nothing of the machine, the time or the path may enter an output.
export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
VERSION := $(shell git describe --always --dirty=-modified 2>/dev/null || echo unversioned)

WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla -Werror
COMMON := -std=c17 -O2 -g -ffreestanding -fno-stack-protector -fno-omit-frame-pointer -fno-strict-aliasing \
    '-ffile-prefix-map=$(CURDIR)/=' -fcf-protection=none $(WARNINGS)
# General registers only: the FPU belongs to guests.
RING0 := $(COMMON) -mcmodel=kernel -mno-red-zone -mgeneral-regs-only -fno-pic -fno-pie -I. -Ivmm/include
RING3 := $(COMMON) -mgeneral-regs-only -fno-pic -fno-pie -Ivmm/include -Ivmm/personalities/lib
# `make V=1` shows the commands.
ifndef V
say = @echo "  $(1) $(2)";
endif
ifdef DEBUG
RING0 += -DPOLYVISOR_DEBUG
endif

LIB_SRC := $(wildcard vmm/lib/*.c)
MUX_SRC := $(wildcard boot/multiboot2/*.c boot/multiboot2/*.asm arch/x86/*.c arch/x86/*.asm arch/x86/vmx/*.c \
    arch/x86/vmx/*.asm vmm/*.c vmm/*.asm) $(LIB_SRC)
MUX_OBJ := $(MUX_SRC:%=$(BUILD)/mux/%.o)
P_LIB_SRC := $(wildcard vmm/personalities/lib/*.c vmm/personalities/lib/*.asm) $(LIB_SRC)
P_LIB_OBJ := $(P_LIB_SRC:%=$(BUILD)/personality/%.o)
PERSONALITIES := $(filter-out lib,$(notdir $(patsubst %/,%,$(wildcard vmm/personalities/*/))))
P_ELF := $(PERSONALITIES:%=$(BUILD)/%.elf)
TEST_PERSONALITIES := $(basename $(notdir $(wildcard tests/personalities/*.c)))
TEST_ELF := $(TEST_PERSONALITIES:%=$(BUILD)/tests/%.elf)

.PHONY: all run test clean install-esp images tools
.DELETE_ON_ERROR:
.SECONDARY:

all: $(BUILD)/polyvisor.elf $(BUILD)/BOOTX64.EFI $(BUILD)/polyvisor.img $(BUILD)/polyvisor.iso tools

$(BUILD)/mux/%.c.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(RING0) -MMD -MP -c $< -o $@

# The exits whose ticks are counted go without frame pointers: one register more, nothing to save. A backtrace loses nothing, as
# entry.asm calls them and it would end there.
$(foreach f,vcpu_hot debug_baseline trace,$(BUILD)/mux/vmm/$f.c.o): RING0 += -fomit-frame-pointer

$(BUILD)/%.asm.o: ;
$(BUILD)/mux/%.asm.o: %.asm Makefile
	@mkdir -p $(@D)
	$(call say,NASM,$<)$(NASM) -f elf64 -Werror -I. -I$(BUILD)/ $(RING0_ASM) -MD $@.d -MT $@ -MP $< -o $@

$(BUILD)/personality/%.c.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(RING3) -I$(<D) -MMD -MP -c $< -o $@

$(BUILD)/personality/%.asm.o: %.asm Makefile
	@mkdir -p $(@D)
	$(call say,NASM,$<)$(NASM) -f elf64 -Werror -I. -MD $@.d -MT $@ -MP $< -o $@

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

# ---- the multiplexer: linked twice, so that the symbol table made from the first link can stand in the second ----
$(BUILD)/version.h: FORCE
	@mkdir -p $(@D)
	@echo '#define POLYVISOR_VERSION "$(VERSION)$(if $(DEBUG),+debug)"' | cmp -s - $@ || \
	    echo '#define POLYVISOR_VERSION "$(VERSION)$(if $(DEBUG),+debug)"' > $@
.PHONY: FORCE
FORCE:

$(BUILD)/mux/vmm/main.c.o: $(BUILD)/version.h
$(BUILD)/mux/vmm/main.c.o: RING0 += -include $(BUILD)/version.h
$(BUILD)/mux/vmm/monitor_image.asm.o: $(BUILD)/monitor.elf

LINK_MUX = $(LD) -nostdlib -static -z max-page-size=0x1000 -z noexecstack --build-id=none -T linker.ld
$(BUILD)/mux/symbols0.asm: tools/mksyms
	@mkdir -p $(@D)
	@tools/mksyms --empty > $@
$(BUILD)/polyvisor.stage1.elf: $(MUX_OBJ) $(BUILD)/mux/symbols0.o linker.ld
	$(call say,LD,$@)$(LINK_MUX) -o $@ $(MUX_OBJ) $(BUILD)/mux/symbols0.o
$(BUILD)/mux/symbols.asm: $(BUILD)/polyvisor.stage1.elf tools/mksyms
	@nm $< | tools/mksyms > $@
$(BUILD)/mux/symbols0.o: $(BUILD)/mux/symbols0.asm
	$(call say,NASM,$<)$(NASM) -f elf64 $< -o $@
$(BUILD)/mux/symbols.o: $(BUILD)/mux/symbols.asm
	$(call say,NASM,$<)$(NASM) -f elf64 $< -o $@
$(BUILD)/polyvisor.debug.elf: $(MUX_OBJ) $(BUILD)/mux/symbols.o linker.ld
	$(call say,LD,$@)$(LINK_MUX) -o $@ $(MUX_OBJ) $(BUILD)/mux/symbols.o
$(BUILD)/polyvisor.elf: $(BUILD)/polyvisor.debug.elf
	$(call say,OBJCOPY,$@)$(OBJCOPY) --strip-debug $< $@

# ---- personalities ----
LINK_P = $(LD) -nostdlib -static -z max-page-size=0x1000 -z separate-code -z noexecstack --build-id=none \
    -T vmm/personalities/lib/personality.ld
# The monitor words VMCS fields as the multiplexer names them: two pure files.
P_EXTRA_monitor := $(BUILD)/personality/arch/x86/vmx/vmcs_fields.c.o $(BUILD)/personality/arch/x86/vmx/vmcs_names.c.o
$(P_EXTRA_monitor) $(BUILD)/personality/vmm/personalities/monitor/%.c.o: RING3 += -I.
# Its debugger walks guests' page tables.
P_EXTRA_monitor += $(BUILD)/personality/vmm/personalities/lib/devices/page_walk.c.o
include vmm/personalities/linux/linux.mk
define PERSONALITY_RULE
$(BUILD)/$(1).debug.elf: $$(patsubst %,$(BUILD)/personality/%.o,$$(wildcard vmm/personalities/$(1)/*.c \
    vmm/personalities/$(1)/*.asm)) $$(P_EXTRA_$(1)) $$(P_LIB_OBJ) vmm/personalities/lib/personality.ld
	$$(call say,LD,$$@)$$(LINK_P) -o $$@ $$(filter %.o,$$^)
endef
$(foreach p,$(PERSONALITIES),$(eval $(call PERSONALITY_RULE,$(p))))
$(BUILD)/tests/apic_guest.debug.elf: $(patsubst %,$(BUILD)/personality/vmm/personalities/lib/devices/%.c.o,lapic \
    lapic_timer apic_bus)
$(BUILD)/tests/%.debug.elf: $(BUILD)/personality/tests/personalities/%.c.o $(P_LIB_OBJ) vmm/personalities/lib/personality.ld
	@mkdir -p $(@D)
	$(call say,LD,$@)$(LINK_P) -o $@ $(filter %.o,$^)
$(P_ELF) $(TEST_ELF): %.elf: %.debug.elf
	$(call say,OBJCOPY,$@)$(OBJCOPY) --strip-all $< $@

include vmm/personalities/bench/bench.mk
include tools/tracing/trace.mk
include tools/kvm-peer/peer.mk
include tools/boot-cost/boot-cost.mk
include tools/claims.mk
# ---- what runs in guests ----
include guests/guests.mk
include guests/linux/linux.mk

# ---- EFI loader ----
include boot/efi/efi.mk

# ---- images ----
IMAGE_FILES := $(BUILD)/polyvisor.elf polyvisor.cfg $(P_ELF)
$(BUILD)/polyvisor.img: $(BUILD)/BOOTX64.EFI $(IMAGE_FILES) tools/mkimg
	$(call say,IMAGE,$@)tools/mkimg -o $@ $(BUILD)/BOOTX64.EFI:EFI/BOOT/BOOTX64.EFI $(IMAGE_FILES)
$(BUILD)/polyvisor.iso: $(IMAGE_FILES) tools/mkiso
	$(call say,ISO,$@)tools/mkiso -o $@ --kernel $(BUILD)/polyvisor.elf --config polyvisor.cfg $(P_ELF)
images: $(BUILD)/polyvisor.img $(BUILD)/polyvisor.iso

# Copies what a real EFI partition needs; the partition must be mounted at ESP.
install-esp: $(BUILD)/BOOTX64.EFI $(IMAGE_FILES)
	tools/install-esp "$(ESP)" $(BUILD)/BOOTX64.EFI $(IMAGE_FILES)

# ---- host tools and tests ----
include tests/tests.mk
tools: $(BUILD)/check-config

EMU ?= auto
BOOT ?= efi
CORES ?= 4
MEM ?= 1G
# The disk or the CD: where there are both, the CD is booted, and GRUB on UEFI knows of one core only where there is no ACPI.
boots = $(if $(filter grub,$(BOOT)),--iso $(BUILD)/$(1).iso,--image $(BUILD)/$(1).img)
# GDB=1: COM2 as TCP port 1234, for gdb (docs/gdb.md); another number: that port.
GDB_PORT := $(if $(GDB),$(if $(filter 1,$(GDB)),1234,$(GDB)))
run:
	@tools/setup peer
	@$(MAKE) --no-print-directory run-images
	@tools/run --emu $(EMU) --boot $(BOOT) --cores $(CORES) --mem $(MEM) $(call boots,run) \
	    $(if $(GDB_PORT),--gdb $(GDB_PORT))

clean:
	rm -rf $(BUILD)
