# Uses the library as two kinds of users do: installed, by find_package, and from its sources, by
# add_subdirectory. Each configures, builds and runs tests/package.
cmake_minimum_required(VERSION 3.25)
function(run)
  execute_process(COMMAND ${ARGN} COMMAND_ECHO STDOUT RESULT_VARIABLE exit)
  if(NOT exit EQUAL 0)
    message(FATAL_ERROR "failed: ${exit}")
  endif()
endfunction()

file(REMOVE_RECURSE ${WORK})
run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/prefix)

set(installed -DCMAKE_PREFIX_PATH=${WORK}/prefix)
set(subdirectory -DGENSERVER_SOURCE_DIR=${SOURCE})
foreach(use IN ITEMS installed subdirectory)
  run(
    ${CMAKE_COMMAND} -G ${GENERATOR} -S ${SOURCE}/tests/package -B ${WORK}/${use} ${${use}}
    -DCMAKE_CXX_COMPILER=${COMPILER} -DCMAKE_CXX_COMPILER_LAUNCHER=${LAUNCHER}
  )
  run(${CMAKE_COMMAND} --build ${WORK}/${use})
  run(${WORK}/${use}/user)
endforeach()
