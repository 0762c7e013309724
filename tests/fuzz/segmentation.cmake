# The one source, so that neither DPDK nor the rest of the dataplane is needed.
target_sources(fuzz_segmentation PRIVATE ${PROJECT_SOURCE_DIR}/dataplane/io/segmentation.cpp)
