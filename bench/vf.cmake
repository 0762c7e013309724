# The generator of WireGuard peers of bench/vf/run.py. Needs root for ports; the gateway it loads is another process.
file(GLOB vf_sources CONFIGURE_DEPENDS vf/*.cpp)
add_executable(bench_vf ${vf_sources})
set_target_properties(bench_vf PROPERTIES OUTPUT_NAME vf)
target_link_libraries(bench_vf PRIVATE linegate_dataplane linegate_noise nlohmann_json::nlohmann_json PkgConfig::SODIUM)
