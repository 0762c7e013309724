# Many peers: start, handshakes, memory, wg(8). Needs root (namespaces of its own).
include(${PROJECT_SOURCE_DIR}/tests/daemon/daemon.cmake)
add_executable(bench_scale scale.cpp)
set_target_properties(bench_scale PROPERTIES OUTPUT_NAME scale)
target_link_libraries(bench_scale PRIVATE linegate_test_daemon)
