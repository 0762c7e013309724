# The real daemon inside a test or bench: sandbox, gateway thread, scripted remotes, load. Included where needed.
include_guard(GLOBAL)
file(GLOB daemon_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/*.cpp)
list(FILTER daemon_sources EXCLUDE REGEX "_test\\.cpp$")
add_library(linegate_test_daemon STATIC EXCLUDE_FROM_ALL ${daemon_sources}
  ${PROJECT_SOURCE_DIR}/control/cli/call.cpp)
target_link_libraries(linegate_test_daemon PUBLIC linegate_control CLI11::CLI11)
