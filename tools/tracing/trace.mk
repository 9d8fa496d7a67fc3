# `make trace`: boots the default configuration, records a second, writes build/trace/ (docs/tracing.md). Variables as for `make run`;
# TRACE_ARGS goes to tools/trace.
.PHONY: trace
trace:
	@tools/setup run
	@$(MAKE) --no-print-directory images
	@tools/trace --emu $(EMU) --boot $(BOOT) --cores $(CORES) -o $(BUILD)/trace $(TRACE_ARGS) \
	    $(if $(filter grub,$(BOOT)),--iso $(BUILD)/polyvisor.iso,--image $(BUILD)/polyvisor.img)
