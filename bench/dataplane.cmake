# The worker's packet path over ports in memory.
add_executable(bench_dataplane dataplane.cpp dataplane_gateway.cpp dataplane_program.cpp dataplane_paired.cpp huge_pages.cpp gate.cpp ${PROJECT_SOURCE_DIR}/tests/worker_world/environment.cpp)
set_target_properties(bench_dataplane PROPERTIES OUTPUT_NAME dataplane)
target_link_libraries(bench_dataplane PRIVATE linegate_dataplane linegate_net_ring PkgConfig::SODIUM)
