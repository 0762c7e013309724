# What belongs on a machine that runs the gateway; scripts/install.sh uses these rules, and so can a packager.
include(GNUInstallDirs)
install(TARGETS linegate RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES scripts/linegate.service scripts/linegate-ports.service DESTINATION lib/systemd/system)
install(PROGRAMS scripts/bind-port.sh scripts/setup-hugepages.sh scripts/ports-at-boot.sh
  DESTINATION ${CMAKE_INSTALL_DATADIR}/linegate/scripts)
install(FILES README.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR} FILES_MATCHING PATTERN "*.md" PATTERN "*.svg")
install(DIRECTORY config/examples/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples FILES_MATCHING PATTERN "*.yaml" PATTERN "*.conf")
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} RENAME copyright)

# The library of programs, and what building with it takes.
install(TARGETS linegate_library LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT library NAMELINK_COMPONENT development)
install(FILES lib/include/linegate.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development)
install(FILES ${PROJECT_BINARY_DIR}/lib/liblinegate.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT development)
install(FILES lib/man/liblinegate.3 DESTINATION ${CMAKE_INSTALL_MANDIR}/man3 COMPONENT development)
install(FILES lib/examples/adapter.c lib/examples/adapter.py lib/examples/card.c lib/examples/card.py lib/examples/echo.c lib/examples/go/adapter.go
  DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/liblinegate-dev/examples COMPONENT development)
