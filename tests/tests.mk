# Host tests and host tools; included by the Makefile. docs/testing.md tells how to add a test.
#
#   make test     everything, with set-up; ends with the line 'N passed, N failed'
#   make unit     the cmocka programs            make fuzz     a short run of every fuzzer (FUZZ_SECONDS each)
#   make lint     format, cppcheck, clang, ABI   make system   boots images in emulators
#
# A test program says in its first lines what it is linked with: '// links: vmm/elf.c vmm/lib/*.c'. Several such lines add up. So do those of
# the helpers in tests/unit that it is linked with.
FUZZ_SECONDS ?= 10
FUZZCC ?= clang
CLANG_FORMAT ?= clang-format-19

# A system library that it needs besides: '// library: Zydis'.
libraries = $(patsubst %,-l%,$(shell sed -n 's|^// library:||p' $(1)))
# '// stand-ins: tests/machine' compiles it all with that folder's headers in place of those with inline assembly: objects of their own.
# $(1): the program's source, $(2): obj's folder.
objects = $(2)/$(if $(shell grep '^// stand-ins: tests/machine$$' $(1)),machine,obj)
named = $(wildcard $(if $(1),$(shell sed -n 's|^// links:||p' $(1))))
links = $(patsubst %,$(call objects,$(1),$(2))/%.o,$(sort $(1) $(call named,$(1)) $(call named,$(filter tests/unit/%,$(call named,$(1))))))

# POLYVISOR_HOST leaves the C library's own functions to the C library.
HOST := -std=c17 -g $(WARNINGS) -DPOLYVISOR_HOST -I. -Ivmm/include -Ivmm/personalities/lib
# The C library has a sched_yield, too, which the sanitizers call.
MACHINE := -Itests/machine -Dsched_yield=mux_sched_yield
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer

# ---- check-config ----
CHECK_CONFIG_SRC := tools/check-config.c $(wildcard vmm/config*.c) $(LIB_SRC)
$(BUILD)/host/%.c.o: %.c Makefile tests/tests.mk
	@mkdir -p $(@D)
	$(call say,HOSTCC,$<)$(HOSTCC) $(HOST) -O2 -MMD -MP -c $< -o $@
$(BUILD)/check-config: $(CHECK_CONFIG_SRC:%=$(BUILD)/host/%.o)
	$(call say,HOSTLD,$@)$(HOSTCC) -o $@ $^

# ---- unit tests ----
UNIT_TESTS := $(sort $(basename $(notdir $(wildcard tests/unit/test_*.c))))
UNIT_BIN := $(UNIT_TESTS:%=$(BUILD)/unit/%)
$(BUILD)/unit/obj/%.c.o: %.c Makefile tests/tests.mk
	@mkdir -p $(@D)
	$(call say,HOSTCC,$<)$(HOSTCC) $(HOST) -O1 $(SANITIZE) -MMD -MP -c $< -o $@
$(BUILD)/unit/machine/%.c.o: %.c Makefile tests/tests.mk
	@mkdir -p $(@D)
	$(call say,HOSTCC,$<)$(HOSTCC) $(MACHINE) $(HOST) -O1 $(SANITIZE) -MMD -MP -c $< -o $@
define UNIT_RULE
$(BUILD)/unit/$(1): $(call links,tests/unit/$(1).c,$(BUILD)/unit)
	$$(call say,HOSTLD,$$@)$$(HOSTCC) $$(SANITIZE) -o $$@ $$^ -lcmocka $(call libraries,tests/unit/$(1).c)
endef
$(foreach t,$(UNIT_TESTS),$(eval $(call UNIT_RULE,$(t))))

# ---- kernels that say how they were booted: for the system tests ----
.PHONY: test-kernels
test-kernels: $(patsubst %,$(BUILD)/kernels/%,boot.elf boot.bin moved.elf demand.elf)
$(BUILD)/kernels/moved.%: KERNEL := -DRELOCATE=0x380000
$(BUILD)/kernels/demand.%: KERNEL := -DDEMAND=99
$(BUILD)/kernels/%.o: tests/kernels/boot.asm tests/tests.mk
	@mkdir -p $(@D)
	$(call say,NASM,$<)$(NASM) -f elf32 -Werror $(KERNEL) $< -o $@
$(BUILD)/kernels/%.elf: $(BUILD)/kernels/%.o tests/kernels/boot.ld
	$(call say,LD,$@)$(LD) -m elf_i386 -nostdlib -static -z noexecstack --build-id=none --no-warn-rwx-segments \
	    -T tests/kernels/boot.ld -e enter -o $@ $<
$(BUILD)/kernels/%.bin: tests/kernels/boot.asm tests/tests.mk
	@mkdir -p $(@D)
	$(call say,NASM,$<)$(NASM) -f bin -DFLAT -Werror $< -o $@

# A hostile one; guests/guests.mk says how code for guests is compiled.
test-kernels: $(BUILD)/kernels/scribble.elf
SCRIBBLE_SRC := tests/kernels/scribble/entry.asm $(wildcard tests/kernels/scribble/*.c) vmm/lib/format.c vmm/lib/string.c
$(BUILD)/scribble/%.c.o: %.c Makefile guests/guests.mk tests/tests.mk
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(GUEST_CFLAGS) -m64 -MMD -MP -c $< -o $@
$(BUILD)/scribble/%.asm.o: %.asm tests/tests.mk
	@mkdir -p $(@D)
	$(call say,NASM,$<)$(NASM) -f elf64 -Werror $< -o $@
$(BUILD)/kernels/scribble.elf: $(SCRIBBLE_SRC:%=$(BUILD)/scribble/%.o) tests/kernels/scribble/scribble.ld
	$(call say,LD,$@)$(LD) -m elf_x86_64 -nostdlib -static -z noexecstack --build-id=none --no-warn-rwx-segments \
	    -T tests/kernels/scribble/scribble.ld -e enter -o $@ $(filter %.o,$^)

# ---- fuzzers ----
FUZZERS := $(sort $(basename $(notdir $(wildcard tests/fuzz/fuzz_*.c))))
COVERAGE := -fsanitize=fuzzer-no-link
# What runs on the machine does not compare its input with words: tracing that would take most of the time. The machine and the
# checks on it are not what is to be covered.
$(BUILD)/fuzz/machine/%: COVERAGE := -fsanitize-coverage=inline-8bit-counters,pc-table
$(BUILD)/fuzz/machine/tests/%: COVERAGE := -O2 -fno-sanitize=all
FUZZ_BIN := $(FUZZERS:%=$(BUILD)/fuzz/%)
$(BUILD)/fuzz/obj/%.c.o: %.c Makefile tests/tests.mk
	@mkdir -p $(@D)
	$(call say,FUZZCC,$<)$(FUZZCC) $(HOST) -O1 $(SANITIZE) $(COVERAGE) -MMD -MP -c $< -o $@
$(BUILD)/fuzz/machine/%.c.o: %.c Makefile tests/tests.mk
	@mkdir -p $(@D)
	$(call say,FUZZCC,$<)$(FUZZCC) $(MACHINE) $(HOST) -O1 $(SANITIZE) $(COVERAGE) -MMD -MP -c $< -o $@
define FUZZ_RULE
$(BUILD)/fuzz/$(1): $(call links,tests/fuzz/$(1).c,$(BUILD)/fuzz)
	$$(call say,FUZZLD,$$@)$$(FUZZCC) $$(SANITIZE) -fsanitize=fuzzer -o $$@ $$^ $(call libraries,tests/fuzz/$(1).c)
endef
$(foreach t,$(FUZZERS),$(eval $(call FUZZ_RULE,$(t))))

# ---- running them: one driver for all layers ----
.PHONY: unit fuzz lint system unit-programs fuzz-programs lint-format lint-cppcheck lint-clang lint-abi
unit-programs: $(UNIT_BIN)
fuzz-programs: $(FUZZ_BIN)
RUN_ALL = @exec env BUILD='$(BUILD)' FUZZ_SECONDS='$(FUZZ_SECONDS)' $(PYTHON) tests/run-all
unit fuzz lint system:
	$(RUN_ALL) $@
test:
	@tools/setup test
	$(RUN_ALL)

# ---- the checks behind 'make lint' ----
C_FILES = $(shell find arch boot vmm guests tests tools -name '*.[ch]' 2>/dev/null | sort)
lint-format:
	$(CLANG_FORMAT) --dry-run -Werror $(C_FILES)
lint-cppcheck:
	cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr --error-exitcode=1 \
	    --suppressions-list=tests/cppcheck.txt --platform=unix64 -D__x86_64__ -I. -Ivmm/include \
	    -Ivmm/personalities/lib vmm arch boot
lint-clang:
	$(MAKE) --no-print-directory BUILD=$(BUILD)/clang CC=clang HOSTCC=clang all $(BUILD)/clang/kvm-peer/init
# docs/abi.md is what the headers say, and what it says of offsets and values is what the compiler says.
lint-abi:
	tools/abi-doc --check
	tools/abi-doc --asserts | $(HOSTCC) -std=c17 -Wall -Wextra -Werror -Ivmm/include -fsyntax-only -x c -
