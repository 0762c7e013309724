# The worker's packet path over ports in memory; and how fast the control thread learns connections.
add_executable(bench_dataplane dataplane.cpp dataplane_gateway.cpp dataplane_learning.cpp dataplane_program.cpp
  dataplane_paired.cpp huge_pages.cpp gate.cpp ${PROJECT_SOURCE_DIR}/tests/worker_world/environment.cpp
  ${PROJECT_SOURCE_DIR}/tests/unit/kernel/tracked_connections.cpp
  ${PROJECT_SOURCE_DIR}/control/flows/flow_follower.cpp ${PROJECT_SOURCE_DIR}/control/publish/routes_changed.cpp)
set_target_properties(bench_dataplane PROPERTIES OUTPUT_NAME dataplane)
target_link_libraries(bench_dataplane PRIVATE linegate_dataplane linegate_net_ring linegate_kernel linegate_config
  PkgConfig::SODIUM)
