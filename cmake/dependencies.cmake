# Every package comes from the distribution; scripts/setup.sh installs them by name.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(SODIUM REQUIRED IMPORTED_TARGET libsodium)
pkg_check_modules(B2 REQUIRED IMPORTED_TARGET libb2)
pkg_check_modules(MNL REQUIRED IMPORTED_TARGET libmnl)
pkg_check_modules(NFCT REQUIRED IMPORTED_TARGET libnetfilter_conntrack)
pkg_check_modules(SYSTEMD REQUIRED IMPORTED_TARGET libsystemd)
pkg_check_modules(QRENCODE REQUIRED IMPORTED_TARGET libqrencode)
pkg_check_modules(CAP REQUIRED IMPORTED_TARGET libcap)
find_package(yaml-cpp REQUIRED)
find_package(spdlog REQUIRED)
find_package(CLI11 REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(prometheus-cpp CONFIG REQUIRED)
find_package(civetweb CONFIG REQUIRED)

# DPDK: its headers are C and do not compile under our warnings, so they are system headers.
pkg_check_modules(DPDK REQUIRED libdpdk)
add_library(linegate_dpdk INTERFACE)
target_include_directories(linegate_dpdk SYSTEM INTERFACE ${DPDK_INCLUDE_DIRS})
target_compile_options(linegate_dpdk INTERFACE ${DPDK_CFLAGS_OTHER} -msse4.2)
target_link_directories(linegate_dpdk INTERFACE ${DPDK_LIBRARY_DIRS})
target_link_libraries(linegate_dpdk INTERFACE ${DPDK_LIBRARIES})

# DPDK's ports made of rings in memory, for tests and benches only.
find_library(DPDK_NET_RING rte_net_ring REQUIRED)
add_library(linegate_net_ring INTERFACE)
target_link_libraries(linegate_net_ring INTERFACE linegate_dpdk ${DPDK_NET_RING})
