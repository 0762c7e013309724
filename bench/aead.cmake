# The burst AEAD side by side with ipsec-mb (when installed), OpenSSL EVP and libsodium.
pkg_check_modules(LIBCRYPTO REQUIRED IMPORTED_TARGET libcrypto)
find_path(IPSEC_MB_INCLUDE_DIR intel-ipsec-mb.h)
find_library(IPSEC_MB_LIBRARY IPSec_MB)

add_executable(bench_aead aead.cpp aead_libraries.cpp gate.cpp)
set_target_properties(bench_aead PROPERTIES OUTPUT_NAME aead)
target_link_libraries(bench_aead PRIVATE
  linegate_options linegate_crypto PkgConfig::LIBCRYPTO benchmark::benchmark)
if(IPSEC_MB_INCLUDE_DIR AND IPSEC_MB_LIBRARY)
  target_compile_definitions(bench_aead PRIVATE LINEGATE_HAVE_IPSEC_MB)
  target_include_directories(bench_aead SYSTEM PRIVATE ${IPSEC_MB_INCLUDE_DIR})
  target_link_libraries(bench_aead PRIVATE ${IPSEC_MB_LIBRARY})
endif()
