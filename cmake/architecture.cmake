# The processor that is compiled for. A file of a variant ends with its instruction set, and is compiled on its architecture only.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
  set(LINEGATE_X86 OFF)
  set(linegate_foreign_variants "_avx(2|512)\\.cpp$")
else()
  set(LINEGATE_X86 ON)
  set(linegate_foreign_variants "_neon\\.cpp$")
endif()

# What DPDK's headers need, and with them every file that includes one: the baseline of its x86 builds. Its arm64 builds need
# nothing that the compiler does not assume.
set(linegate_baseline $<$<BOOL:${LINEGATE_X86}>:-msse4.2>)

# linegate_own_variants(LIST): takes the files of other architectures out of it.
macro(linegate_own_variants list)
  list(FILTER ${list} EXCLUDE REGEX "${linegate_foreign_variants}")
endmacro()
