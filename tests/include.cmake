# Compiles a file that only includes the library, and fails if that puts any function or variable
# into the object file: each file of a program would pay for it. What makes g++ do that is a virtual
# function, defined after its class, that is not declared `inline` in it.
cmake_minimum_required(VERSION 3.25)
file(MAKE_DIRECTORY ${WORK})
file(WRITE ${WORK}/includer.cpp "#include <genserver/genserver.hpp>\n")
list(TRANSFORM INCLUDES PREPEND -I)
include(${CMAKE_CURRENT_LIST_DIR}/support/run.cmake)

run(${COMPILER} ${STANDARD} ${INCLUDES} -O0 -c includer.cpp -o includer.o)
run(${NM} -C includer.o)
# What counts is defined (it has an address), and not a constant of this file alone (r), which
# optimising removes.
string(REGEX MATCHALL "[0-9a-f]+ [A-Zabdgistuv] [^\n]+" emitted "${said}")
if(emitted)
  list(JOIN emitted "\n" names)
  message(FATAL_ERROR "whoever includes the library compiles:\n${names}")
endif()
