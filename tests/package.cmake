# Uses the library SOURCE, built in BUILD, in each way that users have: every one makes the program
# tests/package/main.cpp and runs it. Says what was left out because a tool is not installed.
cmake_minimum_required(VERSION 3.25)
function(run)
  execute_process(COMMAND ${ARGN} COMMAND_ECHO STDOUT RESULT_VARIABLE exit)
  if(NOT exit EQUAL 0)
    message(FATAL_ERROR "failed: ${exit}")
  endif()
endfunction()

file(REMOVE_RECURSE ${WORK})
run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/prefix)
file(STRINGS ${SOURCE}/include/genserver/base/version.hpp version REGEX "constexpr int version_")
list(TRANSFORM version REPLACE ".* = ([0-9]+)\;.*" "\\1")
list(JOIN version "." version)

# With CMake: installed, as a folder, and fetched.
execute_process(
  COMMAND ${CMAKE_COMMAND} -E tar czf ${WORK}/release.tar.gz include cmake CMakeLists.txt LICENSE
  WORKING_DIRECTORY ${SOURCE} COMMAND_ERROR_IS_FATAL ANY
)
set(installed -DCMAKE_PREFIX_PATH=${WORK}/prefix -DVERSION=${version})
set(subdirectory -DGENSERVER_SOURCE_DIR=${SOURCE})
set(fetched -DGENSERVER_ARCHIVE=${WORK}/release.tar.gz)
foreach(use IN ITEMS installed subdirectory fetched)
  run(
    ${CMAKE_COMMAND} -G ${GENERATOR} -S ${SOURCE}/tests/package -B ${WORK}/${use} ${${use}}
    -DCMAKE_CXX_COMPILER=${COMPILER} -DCMAKE_CXX_COMPILER_LAUNCHER=${LAUNCHER}
  )
  run(${CMAKE_COMMAND} --build ${WORK}/${use})
  run(${WORK}/${use}/user)
endforeach()

# With a compiler alone: the folder or the one header, copied to a place of the user's.
list(TRANSFORM FMT_INCLUDES PREPEND -idirafter)
set(compile -std=c++20 -O0 -pthread)
set(main ${SOURCE}/tests/package/main.cpp)
file(COPY ${SOURCE}/include/genserver DESTINATION ${WORK}/copied)
run(
  ${CMAKE_COMMAND} -DOUTPUT=${WORK}/single/genserver.single.hpp -P
  ${SOURCE}/cmake/SingleHeader.cmake
)
foreach(use IN ITEMS copied single)
  run(
    ${LAUNCHER} ${COMPILER} ${compile} -DFMT_HEADER_ONLY ${FMT_INCLUDES} -I${WORK}/${use} -c
    ${main} -o ${WORK}/${use}.o
  )
  run(${COMPILER} -pthread ${WORK}/${use}.o -o ${WORK}/${use}_user)
  run(${WORK}/${use}_user)
endforeach()

# By Debian's package, whose files pkg-config finds in another place than it was made for.
find_program(dpkg NAMES dpkg-deb)
find_program(pkg_config NAMES pkg-config)
if(dpkg AND pkg_config)
  cmake_path(GET CMAKE_COMMAND PARENT_PATH tools)
  run(${tools}/cpack -G DEB --config ${BUILD}/CPackConfig.cmake -B ${WORK}/deb)
  run(${dpkg} -x ${WORK}/deb/libgenserver-dev_${version}_all.deb ${WORK}/root)
  set(ENV{PKG_CONFIG_PATH} ${WORK}/root/usr/share/pkgconfig:${WORK}/prefix/lib/pkgconfig)
  run(${pkg_config} --exact-version=${version} genserver)
  execute_process(
    COMMAND ${pkg_config} --cflags --libs genserver
    OUTPUT_VARIABLE flags COMMAND_ERROR_IS_FATAL ANY
  )
  separate_arguments(flags UNIX_COMMAND "${flags}")
  string(FIND "${flags}" "${WORK}" place)
  if(NOT EXISTS ${WORK}/root/usr/include/genserver/genserver.hpp OR place EQUAL -1)
    message(FATAL_ERROR "pkg-config does not lead to the package: ${flags}")
  endif()
  run(${COMPILER} ${compile} ${main} ${flags} -o ${WORK}/deb_user)
  run(${WORK}/deb_user)
else()
  message("not installed: dpkg-deb and pkg-config")
endif()

# As a module, by a compiler that needs nobody to tell it which file needs which.
find_program(clang NAMES clang++-19 clang++-18 clang++-17 clang++-16)
if(clang)
  set(module ${WORK}/genserver.pcm)
  set(options ${compile} -DFMT_HEADER_ONLY ${FMT_INCLUDES} -I${WORK}/prefix/include)
  run(
    ${clang} ${options} --precompile -x c++-module ${WORK}/prefix/share/genserver/genserver.cppm -o
    ${module}
  )
  run(
    ${clang} ${compile} -DUSE_MODULE -fmodule-file=genserver=${module} ${main} ${module} -o
    ${WORK}/module_user
  )
  run(${WORK}/module_user)
else()
  message("not installed: a clang++ from 16 on, for the module")
endif()
