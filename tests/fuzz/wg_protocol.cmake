target_sources(fuzz_wg_protocol PRIVATE ${PROJECT_SOURCE_DIR}/control/api/wg_protocol.cpp ${PROJECT_SOURCE_DIR}/control/api/wg_apply.cpp)
target_link_libraries(fuzz_wg_protocol PRIVATE linegate_config PkgConfig::SODIUM)
