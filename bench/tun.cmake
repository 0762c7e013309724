add_executable(bench_tun ${CMAKE_CURRENT_LIST_DIR}/tun.cpp)
target_link_libraries(bench_tun PRIVATE linegate_dataplane nlohmann_json::nlohmann_json)
set_target_properties(bench_tun PROPERTIES OUTPUT_NAME tun)
