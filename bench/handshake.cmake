# The protocol engine alone: handshakes and refusals per second on one core.
add_executable(bench_handshake handshake.cpp)
set_target_properties(bench_handshake PROPERTIES OUTPUT_NAME handshake)
target_link_libraries(bench_handshake PRIVATE linegate_options linegate_noise)
