# The sources of the ring's ends, so that neither DPDK nor the rest of the dataplane is needed.
target_sources(fuzz_ring PRIVATE ${PROJECT_SOURCE_DIR}/dataplane/io/program_offloads.cpp
  ${PROJECT_SOURCE_DIR}/dataplane/io/segmentation.cpp)
