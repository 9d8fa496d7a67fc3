# The small guests: flat images, built into $(BUILD)/guests/. Included by the Makefile after COMMON, BUILD and the tools.
#
# Each is one program in one mode: C is compiled for 16, 32 or 64 bits, assembly is told MODE. They are contained in the
# personalities that run them (incbin).
GUESTS := real16 prot32 long64 smp64
GUEST_BINS := $(GUESTS:%=$(BUILD)/guests/%.bin) $(BUILD)/guests/hostile16.bin $(BUILD)/guests/hostile64.bin
GUEST_CFLAGS := $(COMMON) -mgeneral-regs-only -mno-red-zone -fno-pic -fno-pie -Ivmm/include -I.

real16_SRC := real16.asm exercise32.asm guest.c real16.c
prot32_SRC := prot32.asm exercise32.asm guest.c prot32.c
long64_SRC := long64.asm exercise64.asm guest.c long64.c
smp64_SRC := $(long64_SRC) smp64.c
hostile16_SRC := hostile16.asm
hostile64_SRC := hostile64.asm

# Objects of a mode: $(BUILD)/guests/MODE/NAME.o. string.c is what the compiler may call.
define GUEST_MODE
$(BUILD)/guests/$(1)/%.c.o: guests/%.c Makefile guests/guests.mk
	@mkdir -p $$(@D)
	$$(call say,CC$(1),$$<)$$(CC) $$(GUEST_CFLAGS) -m$(1) -MMD -MP -c $$< -o $$@
$(BUILD)/guests/$(1)/string.c.o: vmm/lib/string.c Makefile guests/guests.mk
	@mkdir -p $$(@D)
	$$(call say,CC$(1),$$<)$$(CC) $$(GUEST_CFLAGS) -m$(1) -MMD -MP -c $$< -o $$@
$(BUILD)/guests/$(1)/%.asm.o: guests/%.asm Makefile guests/guests.mk
	@mkdir -p $$(@D)
	$$(call say,NASM$(1),$$<)$$(NASM) -f elf$(2) -DMODE=$(1) -Werror -I. -MD $$@.d -MT $$@ -MP $$< -o $$@
endef
$(eval $(call GUEST_MODE,16,32))
$(eval $(call GUEST_MODE,32,32))
$(eval $(call GUEST_MODE,64,64))

# An image: $(1) name, $(2) mode, $(3) the linker's name of the format, $(4) where it must end.
LINK_GUEST := -nostdlib -static -z noexecstack --no-warn-rwx-segments --build-id=none -T guests/guest.ld
define GUEST_RULE
$(BUILD)/guests/$(1).elf: $$($(1)_SRC:%=$(BUILD)/guests/$(2)/%.o) $(BUILD)/guests/$(2)/string.c.o guests/guest.ld
	$$(call say,LD,$$@)$$(LD) -m $(3) $(LINK_GUEST) --defsym guest_limit=$(4) -o $$@ $$(filter %.o,$$^)
$(BUILD)/guests/$(1).bin: $(BUILD)/guests/$(1).elf
	$$(call say,OBJCOPY,$$@)$$(OBJCOPY) -O binary $$< $$@
endef
$(eval $(call GUEST_RULE,real16,16,elf_i386,0x10000))
$(eval $(call GUEST_RULE,hostile16,16,elf_i386,0x10000))
$(eval $(call GUEST_RULE,prot32,32,elf_i386,0x100000))
$(eval $(call GUEST_RULE,long64,64,elf_x86_64,0x100000))
$(eval $(call GUEST_RULE,smp64,64,elf_x86_64,0x100000))
$(eval $(call GUEST_RULE,hostile64,64,elf_x86_64,0x100000))

# Personalities that contain guests look for them in $(BUILD).
GUEST_OWNERS := $(BUILD)/personality/vmm/personalities/tiny/guests.asm.o \
    $(BUILD)/personality/vmm/personalities/chaos/guests.asm.o
$(GUEST_OWNERS): $(GUEST_BINS)
$(GUEST_OWNERS): NASM += -I$(BUILD)/
