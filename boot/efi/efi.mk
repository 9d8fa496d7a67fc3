# The EFI loader. Debian's gnu-efi provides headers, start-up code and the linker script; nothing of its libefi is used.
EFI_LIB ?= /usr/lib
EFI_INCLUDE ?= /usr/include/efi
EFI_SRC := $(wildcard boot/efi/*.c) $(wildcard vmm/config*.c) vmm/lib/format.c vmm/lib/string.c
EFI_OBJ := $(EFI_SRC:%=$(BUILD)/efi/%.o)
# -fpic and hidden symbols: no relocations but of pointers in data. General registers only: FPU state is no concern.
EFI_FLAGS := $(COMMON) -fno-asynchronous-unwind-tables -fpic -fvisibility=hidden -fshort-wchar -mno-red-zone \
    -mgeneral-regs-only -DGNU_EFI_USE_MS_ABI -I. -Ivmm/include -isystem $(EFI_INCLUDE) -isystem $(EFI_INCLUDE)/x86_64

$(BUILD)/efi/%.c.o: %.c Makefile boot/efi/efi.mk
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(EFI_FLAGS) -MMD -MP -c $< -o $@

$(BUILD)/BOOTX64.debug.so: $(EFI_OBJ)
	$(call say,LD,$@)$(LD) -nostdlib -z nocombreloc -z norelro -z noexecstack -shared -Bsymbolic --no-undefined --build-id=none \
	    -T $(EFI_LIB)/elf_x86_64_efi.lds -o $@ $(EFI_LIB)/crt0-efi-x86_64.o $(EFI_OBJ) -L$(EFI_LIB) -lgnuefi

$(BUILD)/BOOTX64.EFI: $(BUILD)/BOOTX64.debug.so
	$(call say,OBJCOPY,$@)$(OBJCOPY) -j .text -j .sdata -j .data -j .rodata -j .dynamic -j .dynsym -j '.rel*' -j .reloc \
	    --target=efi-app-x86_64 $< $@
