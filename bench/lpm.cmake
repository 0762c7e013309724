# Our longest-prefix match side by side with DPDK's tables in one run.
add_executable(bench_lpm lpm.cpp gate.cpp lpm_mix.cpp lpm_rivals.cpp)
set_target_properties(bench_lpm PROPERTIES OUTPUT_NAME lpm)
target_link_libraries(bench_lpm PRIVATE linegate_options linegate_lpm linegate_dpdk)
