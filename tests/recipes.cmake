# Checks what can be checked of SOURCE/cmake/packaging without the package managers: that each recipe
# can be read, and means this library, its VERSION and the place where its package is installed.
cmake_minimum_required(VERSION 3.25)
set(recipes ${SOURCE}/cmake/packaging)

file(READ ${recipes}/vcpkg/genserver/vcpkg.json port)
string(JSON name GET "${port}" name)
string(JSON port_version GET "${port}" version-semver)
if(NOT name STREQUAL "genserver" OR NOT port_version STREQUAL VERSION)
  message(FATAL_ERROR "vcpkg.json is of ${name} ${port_version}, not of genserver ${VERSION}")
endif()

# What vcpkg does, as far as the recipe needs it.
set(CURRENT_PACKAGES_DIR ${WORK}/packages)
file(REMOVE_RECURSE ${WORK})
function(vcpkg_cmake_configure)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" SOURCE_PATH OPTIONS)
  execute_process(
    COMMAND
      ${CMAKE_COMMAND} -G ${GENERATOR} -S ${arg_SOURCE_PATH} -B ${WORK}/build ${arg_OPTIONS}
      -DCMAKE_CXX_COMPILER=${COMPILER} --install-prefix ${CURRENT_PACKAGES_DIR}
    COMMAND_ERROR_IS_FATAL ANY
  )
endfunction()
function(vcpkg_cmake_install)
  execute_process(
    COMMAND ${CMAKE_COMMAND} --build ${WORK}/build --target install COMMAND_ERROR_IS_FATAL ANY
    OUTPUT_QUIET
  )
endfunction()
function(vcpkg_cmake_config_fixup)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "PACKAGE_NAME;CONFIG_PATH" "")
  set(config ${CURRENT_PACKAGES_DIR}/${arg_CONFIG_PATH}/${arg_PACKAGE_NAME}-config.cmake)
  if(NOT EXISTS ${config})
    message(FATAL_ERROR "vcpkg does not find ${config}")
  endif()
endfunction()
function(vcpkg_install_copyright)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "" FILE_LIST)
  if(NOT EXISTS ${arg_FILE_LIST} OR NOT EXISTS ${CURRENT_PACKAGES_DIR}/include/genserver)
    message(FATAL_ERROR "vcpkg does not find the licence or the headers")
  endif()
endfunction()
include(${recipes}/vcpkg/genserver/portfile.cmake)

find_program(python NAMES python3)
find_program(lua NAMES luac luac5.4 luac5.3 luac5.2 luac5.1)
if(python)
  set(parse "import ast, sys; ast.parse(open(sys.argv[1]).read())")
  execute_process(
    COMMAND ${python} -c "${parse}" ${recipes}/conan/conanfile.py COMMAND_ERROR_IS_FATAL ANY
  )
endif()
if(lua)
  execute_process(
    COMMAND ${lua} -p ${recipes}/xmake/genserver.lua COMMAND_ERROR_IS_FATAL ANY
  )
endif()
