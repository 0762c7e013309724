# Its own primitives.cpp takes the place of the library's.
target_sources(fuzz_handshake_open PRIVATE ${PROJECT_SOURCE_DIR}/control/noise/primitives.cpp)
target_compile_definitions(fuzz_handshake_open PRIVATE LINEGATE_FUZZ_AEAD_ALWAYS_OPENS)
target_link_libraries(fuzz_handshake_open PRIVATE linegate_noise PkgConfig::B2)
