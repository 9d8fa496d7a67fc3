# The linux personality: device models and loaders besides the library, and ACPI's description of the virtual PC.
P_EXTRA_linux := $(patsubst %,$(BUILD)/personality/%.o,$(wildcard vmm/personalities/lib/devices/*.c \
    vmm/personalities/lib/loaders/*.c))
IASL ?= iasl
$(BUILD)/linux/dsdt.aml: vmm/personalities/linux/dsdt.asl
	@mkdir -p $(@D)
	$(call say,IASL,$<)$(IASL) -p $(@:.aml=) $< >$(@:.aml=.log) 2>&1 || { cat $(@:.aml=.log); exit 1; }
$(BUILD)/personality/vmm/personalities/linux/dsdt.asm.o: $(BUILD)/linux/dsdt.aml
$(BUILD)/personality/vmm/personalities/linux/dsdt.asm.o: NASM += -I$(BUILD)/linux/
