# Installs the sources that this folder lies in: vcpkg install genserver --overlay-ports=<here>/..
get_filename_component(sources ${CMAKE_CURRENT_LIST_DIR}/../../../.. ABSOLUTE)

vcpkg_cmake_configure(
  SOURCE_PATH ${sources}
  OPTIONS -DGENSERVER_BUILD_TESTS=OFF -DGENSERVER_BUILD_EXAMPLES=OFF
)
vcpkg_cmake_install()
vcpkg_cmake_config_fixup(PACKAGE_NAME genserver CONFIG_PATH share/cmake/genserver)
file(REMOVE_RECURSE ${CURRENT_PACKAGES_DIR}/debug) # headers alone: the same for both
vcpkg_install_copyright(FILE_LIST ${sources}/LICENSE)
