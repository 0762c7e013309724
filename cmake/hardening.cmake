# What the toolchain offers against memory errors. docs/security.md states it, tests/hardening.sh checks the built program.
#
# Of every program, at no cost per packet: position independent, no lazy binding, read-only relocations, no executable stack.
if(NOT LINEGATE_SANITIZE)
  add_link_options(-pie -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack)
endif()

# Of the folders that the top CMakeLists.txt names, which parse what comes from outside: checked string and memory functions,
# stack canaries, no stack clash. Not of dataplane, whose functions run once per burst or packet and would pay for each canary;
# its buffers are spans of known length. Optimised builds only: without optimisation _FORTIFY_SOURCE is a warning.
include(CheckCXXSourceCompiles)
check_cxx_source_compiles("int main(int n, char** v) { return static_cast<int>(__builtin_dynamic_object_size(v[n - 1], 0)); }"
  LINEGATE_HAS_FORTIFY_3)
set(linegate_hardening -fPIE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=$<IF:$<BOOL:${LINEGATE_HAS_FORTIFY_3}>,3,2>
  -fstack-protector-strong -fstack-clash-protection)

# linegate_harden(FOLDER): every target of the folder and of those below it.
function(linegate_harden folder)
  if(LINEGATE_SANITIZE OR CMAKE_BUILD_TYPE STREQUAL "Debug")
    return()
  endif()
  get_property(targets DIRECTORY ${folder} PROPERTY BUILDSYSTEM_TARGETS)
  foreach(target ${targets})
    target_compile_options(${target} PRIVATE ${linegate_hardening})
  endforeach()
  get_property(folders DIRECTORY ${folder} PROPERTY SUBDIRECTORIES)
  foreach(below ${folders})
    linegate_harden(${below})
  endforeach()
endfunction()
