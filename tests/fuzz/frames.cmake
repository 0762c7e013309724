target_sources(fuzz_frames PRIVATE ${PROJECT_SOURCE_DIR}/tests/worker_world/environment.cpp ${PROJECT_SOURCE_DIR}/tests/worker_world/world.cpp)
target_link_libraries(fuzz_frames PRIVATE linegate_dataplane linegate_net_ring PkgConfig::SODIUM)
