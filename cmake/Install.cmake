# Installs every component with the package that find_package(genserver CONFIG) finds, the module and
# what pkg-config reads; and packs that for Debian.
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

# Relative to the file itself, so that what is installed may be moved.
cmake_path(
  RELATIVE_PATH CMAKE_INSTALL_PREFIX
  BASE_DIRECTORY ${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_DATADIR}/pkgconfig
  OUTPUT_VARIABLE prefix_from_pc
)
configure_file(cmake/genserver.pc.in ${PROJECT_BINARY_DIR}/genserver.pc @ONLY)
install(
  FILES ${PROJECT_BINARY_DIR}/genserver.pc DESTINATION ${CMAKE_INSTALL_DATADIR}/pkgconfig
)

install(FILES cmake/genserver.cppm DESTINATION ${CMAKE_INSTALL_DATADIR}/genserver)
install(FILES cmake/gdb/genserver.py DESTINATION ${CMAKE_INSTALL_DATADIR}/genserver/gdb)
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/licenses/genserver)

set(CMAKE_SKIP_INSTALL_ALL_DEPENDENCY ON) # headers alone: there is nothing to build first
set(CPACK_GENERATOR DEB)
set(CPACK_VERBATIM_VARIABLES ON)
set(CPACK_PACKAGE_NAME libgenserver-dev)
set(CPACK_PACKAGE_CONTACT "the authors of genserver")
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_ARCHITECTURE all)
set(CPACK_DEBIAN_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "libfmt-dev (>= 9)")
include(CPack)
