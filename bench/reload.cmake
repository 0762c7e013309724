# Reloads of the whole daemon under full load. Needs root (namespaces of its own).
include(${PROJECT_SOURCE_DIR}/tests/daemon/daemon.cmake)
add_executable(bench_reload reload.cpp)
set_target_properties(bench_reload PROPERTIES OUTPUT_NAME reload)
target_link_libraries(bench_reload PRIVATE linegate_test_daemon)
