# The ends of bench/flows_tcp.sh that iperf3 cannot play; sockets alone.
add_executable(bench_flow_ends flow_ends.cpp)
set_target_properties(bench_flow_ends PROPERTIES OUTPUT_NAME flow_ends)
