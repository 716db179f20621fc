# Compiles tests/windows/program.cpp and some examples of SOURCE for Windows with mingw-w64, using
# the fmt in one of FMT_INCLUDES, and runs them under Wine; compares what they write with the
# `// Output:` in them. Says "skipped: ..." for what is not installed. WORK is a folder of its own.
cmake_minimum_required(VERSION 3.25)
find_program(compiler NAMES x86_64-w64-mingw32-g++-posix x86_64-w64-mingw32-g++)
if(NOT compiler)
  message("skipped: no mingw-w64 compiler")
  return()
endif()

# fmt alone: next to it may be the headers of this system.
file(REMOVE_RECURSE ${WORK}/include)
file(MAKE_DIRECTORY ${WORK}/include)
foreach(folder IN LISTS FMT_INCLUDES ITEMS /usr/include /usr/local/include)
  if(EXISTS ${folder}/fmt/core.h AND NOT EXISTS ${WORK}/include/fmt)
    file(CREATE_LINK ${folder}/fmt ${WORK}/include/fmt SYMBOLIC)
  endif()
endforeach()

set(
  options
  -std=c++20 -O1 -g -static -DFMT_HEADER_ONLY -isystem ${WORK}/include -I${SOURCE}/include
  -I${SOURCE}/tests -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Werror
)
set(
  sources
  tests/windows/program.cpp examples/counter.cpp examples/timers.cpp examples/deadlock.cpp
)
foreach(source IN LISTS sources)
  cmake_path(GET source STEM name)
  execute_process(
    COMMAND ${compiler} ${options} ${SOURCE}/${source} -o ${WORK}/${name}.exe
    RESULT_VARIABLE exit
  )
  if(NOT exit EQUAL 0)
    message(FATAL_ERROR "${source} does not compile for Windows")
  endif()
endforeach()

# Wine of its own, which neither sees what the user has nor asks for a display.
find_program(wine NAMES wine64 wine)
set(ENV{WINEPREFIX} ${WORK}/wine)
set(ENV{WINEDEBUG} -all)
set(ENV{WINEDLLOVERRIDES} "mscoree,mshtml=")
set(ENV{DISPLAY} "")
if(wine)
  execute_process(
    COMMAND ${wine} cmd /c "echo it runs"
    OUTPUT_VARIABLE said ERROR_QUIET RESULT_VARIABLE exit TIMEOUT 120
  )
endif()
if(NOT wine OR NOT exit EQUAL 0 OR NOT said MATCHES "it runs")
  message("skipped: the programs were compiled, but Wine is not there or does not run")
  return()
endif()

foreach(source IN LISTS sources)
  cmake_path(GET source STEM name)
  execute_process(
    COMMAND ${wine} ${WORK}/${name}.exe
    OUTPUT_VARIABLE said ERROR_VARIABLE reported RESULT_VARIABLE exit TIMEOUT 120
  )
  if(NOT exit EQUAL 0)
    message("${reported}${said}")
    message(FATAL_ERROR "${name}.exe ended with ${exit}")
  endif()
  # What goes to stderr comes first, as in the examples; lines end there in two characters.
  string(REPLACE "\r\n" "\n" said "${reported}${said}")
  file(WRITE ${WORK}/${name}.txt "${said}")
  execute_process(
    COMMAND
      ${CMAKE_COMMAND} "-DPROGRAM=${CMAKE_COMMAND};-E;cat;${WORK}/${name}.txt"
      -DSOURCE=${SOURCE}/${source} -P ${SOURCE}/cmake/CheckOutput.cmake
    RESULT_VARIABLE exit
  )
  if(NOT exit EQUAL 0)
    message(FATAL_ERROR "${name}.exe writes something else on Windows")
  endif()
endforeach()
