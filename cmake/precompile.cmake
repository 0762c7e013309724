# Headers of others that most sources of a target read, compiled once per target. With clang, which compiles the tree of the
# sanitizers, that is 40 % of the time. With g++ 12 it is a loss: each source maps 100 MB, and warnings of the standard library's
# own templates appear.
# None of our headers is among them, so a change of ours recompiles no more than before, and what a source must include is still
# said by the tree of g++.

# linegate_precompile(TARGET HEADER...): the standard library's, and these. For two or three sources it would not pay.
function(linegate_precompile target)
  get_target_property(sources ${target} SOURCES)
  list(LENGTH sources count)
  if(count GREATER 3 AND CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    target_precompile_headers(${target} PRIVATE
      <algorithm> <array> <atomic> <chrono> <cstdint> <cstring> <functional> <map> <memory> <optional> <set> <span> <string>
      <string_view> <utility> <vector> ${ARGN})
    # A compiler cache gives back what was compiled when the generated file that includes them had another time.
    target_compile_options(${target} PRIVATE "SHELL:-Xclang -fno-pch-timestamp")
  endif()
endfunction()
