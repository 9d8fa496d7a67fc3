# What a Linux guest consists of: `make linux-guest` puts Debian's kernel, unchanged, and an initramfs with busybox into
# $(BUILD)/guests/. Not part of `all`: the first time it downloads two packages (tools/fetch-linux).
# LINUX_RELEASE=trixie takes those of another Debian release, into a folder of that name.
LINUX_GUESTS := $(BUILD)/guests$(LINUX_RELEASE:%=/%)
LINUX_KERNEL := $(LINUX_GUESTS)/vmlinuz
LINUX_INITRAMFS := $(LINUX_GUESTS)/initramfs.cpio
# Debian builds virtio's drivers as modules, some releases not all of them. The guest's init loads them in the order of their
# names, hence the numbers.
LINUX_MODULES := 0a:drivers/misc/pvpanic/pvpanic 0b:drivers/misc/pvpanic/pvpanic-mmio \
    1:drivers/virtio/virtio_ring 2:drivers/virtio/virtio 3:drivers/virtio/virtio_pci_modern_dev \
    3:drivers/virtio/virtio_pci_legacy_dev 4:drivers/virtio/virtio_pci 5:drivers/block/virtio_blk \
    5:drivers/char/virtio_console 5:drivers/char/hw_random/virtio-rng \
    5:net/core/failover 6:drivers/net/net_failover 7:drivers/net/virtio_net
linux_module = $(if $(filter $(2),$(LINUX_BUILT_IN)),,$(LINUX)/modules/kernel/$(2).ko:lib/modules/$(1)-$(notdir $(2)).ko)
LINUX_BUILT_IN = $(patsubst kernel/%.ko,%,$(file <$(LINUX)/modules/modules.builtin))
.PHONY: linux-guest linux-images run-linux linux-test
linux-guest:
	@tools/fetch-linux $(LINUX_RELEASE:%=--release %)
	@$(MAKE) --no-print-directory LINUX="$$(tools/fetch-linux $(LINUX_RELEASE:%=--release %) --dir)" $(LINUX_KERNEL) $(LINUX_INITRAMFS)
ifdef LINUX
$(LINUX_KERNEL): $(LINUX)/vmlinuz
	@mkdir -p $(@D)
	$(call say,COPY,$@)cp $< $@
$(LINUX_INITRAMFS): $(LINUX)/busybox guests/linux/init guests/linux/load guests/linux/mkinitramfs guests/linux/linux.mk
	@mkdir -p $(@D)
	$(call say,CPIO,$@)guests/linux/mkinitramfs -o $@ --busybox $< --init guests/linux/init guests/linux/load:bin/load \
	    $(foreach m,$(LINUX_MODULES),$(call linux_module,$(firstword $(subst :, ,$(m))),$(lastword $(subst :, ,$(m)))))
endif

# The same images as Polyvisor's own, with a Linux guest.
LINUX_FILES := $(BUILD)/monitor.elf $(BUILD)/linux.elf
LINUX_GUEST := $(LINUX_KERNEL) $(LINUX_INITRAMFS)
LINUX_CFG := guests/linux/linux.cfg:polyvisor.cfg
linux-images: linux-guest $(BUILD)/BOOTX64.EFI $(BUILD)/polyvisor.elf $(LINUX_FILES)
	$(call say,IMAGE,$(BUILD)/linux.img)tools/mkimg -o $(BUILD)/linux.img $(BUILD)/BOOTX64.EFI:EFI/BOOT/BOOTX64.EFI \
	    $(BUILD)/polyvisor.elf $(LINUX_CFG) $(LINUX_FILES) $(LINUX_GUEST)
	$(call say,ISO,$(BUILD)/linux.iso)tools/mkiso -o $(BUILD)/linux.iso --kernel $(BUILD)/polyvisor.elf --config $(LINUX_CFG) \
	    $(LINUX_FILES) $(LINUX_GUEST)
run-linux:
	@tools/setup run
	@$(MAKE) --no-print-directory linux-images
	@tools/run --emu $(EMU) --boot $(BOOT) --cores $(CORES) --mem $(MEM) $(call boots,linux) $(if $(GDB_PORT),--gdb $(GDB_PORT))

# What `make run` boots: Polyvisor's own configuration, and two Linux guests.
RUN_FILES = $(P_ELF) $(LINUX_GUEST)
.PHONY: run-images
run-images: linux-guest $(BUILD)/BOOTX64.EFI $(BUILD)/polyvisor.elf $(P_ELF)
	@cat polyvisor.cfg guests/linux/run.cfg >$(BUILD)/run.cfg
	$(call say,IMAGE,$(BUILD)/run.img)tools/mkimg -o $(BUILD)/run.img $(BUILD)/BOOTX64.EFI:EFI/BOOT/BOOTX64.EFI \
	    $(BUILD)/polyvisor.elf $(BUILD)/run.cfg:polyvisor.cfg $(RUN_FILES)
	$(call say,ISO,$(BUILD)/run.iso)tools/mkiso -o $(BUILD)/run.iso --kernel $(BUILD)/polyvisor.elf \
	    --config $(BUILD)/run.cfg:polyvisor.cfg $(RUN_FILES)

# The tests that boot a kernel: minutes, in Bochs. Not part of `make test`.
linux-test:
	@tools/setup test
	@$(MAKE) --no-print-directory linux-guest
	SYSTEM_ARGS='-m linux' $(MAKE) --no-print-directory system
