# Every target links linegate_options: the warnings, which are errors with LINEGATE_WERROR (the presets set it; a packager's
# next compiler may warn of what ours does not).
option(LINEGATE_WERROR "Treat warnings as errors" OFF)
add_library(linegate_options INTERFACE)
target_compile_options(linegate_options INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wnon-virtual-dtor -Wold-style-cast -Wimplicit-fallthrough
  $<$<BOOL:${LINEGATE_WERROR}>:-Werror>
  # g++ 12 warns of its own std::string::operator+ (GCC PR 105651).
  $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)
target_include_directories(linegate_options INTERFACE ${PROJECT_SOURCE_DIR})

if(LINEGATE_SANITIZE)
  add_compile_options(-fsanitize=${LINEGATE_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  # GCC names its sanitizer by a macro, this clang does not.
  if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND LINEGATE_SANITIZE MATCHES "address")
    add_compile_definitions(__SANITIZE_ADDRESS__=1)
  endif()
  # GCC's documentation: with sanitizers this warning has false positives (std::regex, tl::expected).
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    add_compile_options(-Wno-maybe-uninitialized)
  endif()
  add_link_options(-fsanitize=${LINEGATE_SANITIZE})
endif()
if(LINEGATE_COVERAGE)
  add_compile_options(--coverage)
  add_link_options(--coverage)
endif()
