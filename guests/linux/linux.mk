# What a Linux guest consists of: `make linux-guest` puts Debian's kernel, unchanged, and an initramfs with busybox into
# $(BUILD)/guests/. Not part of `all`: the first time it downloads two packages (tools/fetch-linux).
LINUX_KERNEL := $(BUILD)/guests/vmlinuz
LINUX_INITRAMFS := $(BUILD)/guests/initramfs.cpio
.PHONY: linux-guest
linux-guest:
	@tools/fetch-linux
	@$(MAKE) --no-print-directory LINUX="$$(tools/fetch-linux --dir)" $(LINUX_KERNEL) $(LINUX_INITRAMFS)
ifdef LINUX
$(LINUX_KERNEL): $(LINUX)/vmlinuz
	@mkdir -p $(@D)
	$(call say,COPY,$@)cp $< $@
$(LINUX_INITRAMFS): $(LINUX)/busybox guests/linux/init guests/linux/mkinitramfs
	@mkdir -p $(@D)
	$(call say,CPIO,$@)guests/linux/mkinitramfs -o $@ --busybox $< --init guests/linux/init
endif
