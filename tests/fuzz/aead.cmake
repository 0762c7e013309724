target_link_libraries(fuzz_aead PRIVATE linegate_crypto PkgConfig::SODIUM)
