# The ring of a program beside DPDK's memif, both ends in this process. Needs root (memif's socket, memory).
add_executable(bench_ring ring.cpp ring_links.cpp gate.cpp ${PROJECT_SOURCE_DIR}/tests/unit/api/fake_gateway.cpp
  ${PROJECT_SOURCE_DIR}/dataplane/io/program_ring.cpp
  ${PROJECT_SOURCE_DIR}/dataplane/io/program_offloads.cpp ${PROJECT_SOURCE_DIR}/dataplane/io/segmentation.cpp)
set_target_properties(bench_ring PROPERTIES OUTPUT_NAME ring)
target_link_libraries(bench_ring PRIVATE linegate_options linegate_dataplane linegate_library linegate_api)
