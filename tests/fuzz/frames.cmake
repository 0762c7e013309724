target_sources(fuzz_frames PRIVATE ${PROJECT_SOURCE_DIR}/tests/packets/environment.cpp ${PROJECT_SOURCE_DIR}/tests/packets/world.cpp)
target_link_libraries(fuzz_frames PRIVATE linegate_dataplane linegate_net_ring PkgConfig::SODIUM)
