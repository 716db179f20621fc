# Installs every component with the package that find_package(genserver CONFIG) finds.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_DATADIR}/cmake/genserver)

configure_package_config_file(
  cmake/genserver-config.cmake.in ${PROJECT_BINARY_DIR}/genserver-config.cmake
  INSTALL_DESTINATION ${package_dir}
  NO_SET_AND_CHECK_MACRO
)
write_basic_package_version_file(
  ${PROJECT_BINARY_DIR}/genserver-config-version.cmake
  COMPATIBILITY SameMinorVersion # while the major version is 0
  ARCH_INDEPENDENT
)

install(EXPORT genserver-targets NAMESPACE genserver:: DESTINATION ${package_dir})
install(
  FILES
    ${PROJECT_BINARY_DIR}/genserver-config.cmake
    ${PROJECT_BINARY_DIR}/genserver-config-version.cmake
  DESTINATION ${package_dir}
)
install(FILES cmake/gdb/genserver.py DESTINATION ${CMAKE_INSTALL_DATADIR}/genserver/gdb)
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/licenses/genserver)
