# Compiles tests/compilers/program.cpp of SOURCE in the ways that users have and no other test tries,
# with the fmt in FMT_INCLUDES, and runs it. Says which were left out because they are not installed.
# WORK is a folder of its own.
cmake_minimum_required(VERSION 3.25)

# Each is a compiler and its options, with commas between.
set(
  ways
  "g++-11"
  "g++,-fno-rtti"
  "g++,-m32"
  "clang++-16"
  "clang++-19"
  "clang++-16,-stdlib=libc++"
  "clang++-19,-stdlib=libc++"
)
file(REMOVE_RECURSE ${WORK})
list(TRANSFORM FMT_INCLUDES PREPEND -idirafter)
set(
  options
  -std=c++20 -O0 -DFMT_HEADER_ONLY ${FMT_INCLUDES} -I${SOURCE}/include -pthread
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Werror
)
file(WRITE ${WORK}/any.cpp "#include <thread>\nint main() { std::thread{[] {}}.join(); }\n")

set(tried 0)
foreach(way IN LISTS ways)
  string(REPLACE "," ";" command "${way}")
  list(POP_FRONT command compiler)
  if("-m32" IN_LIST command)
    # What Linux itself offers is there for the first of several architectures only.
    list(APPEND command -idirafter /usr/include/x86_64-linux-gnu)
  endif()
  set(tool)
  find_program(tool NAMES ${compiler} NO_CACHE)
  set(exit 1)
  if(tool)
    execute_process(
      COMMAND ${tool} ${command} -std=c++20 -Werror -pthread ${WORK}/any.cpp -o ${WORK}/any
      OUTPUT_QUIET ERROR_QUIET RESULT_VARIABLE exit
    )
  endif()
  if(NOT exit EQUAL 0)
    message("not installed, or not made for each other: ${way}")
    continue()
  endif()

  string(MAKE_C_IDENTIFIER "${way}" name)
  execute_process(
    COMMAND
      ${LAUNCHER} ${tool} ${command} ${options} -c ${SOURCE}/tests/compilers/program.cpp -o
      ${WORK}/${name}.o
    RESULT_VARIABLE exit
  )
  if(NOT exit EQUAL 0)
    message(FATAL_ERROR "${way}: does not compile")
  endif()
  execute_process(
    COMMAND ${tool} ${command} -pthread ${WORK}/${name}.o -o ${WORK}/${name} RESULT_VARIABLE exit
  )
  if(NOT exit EQUAL 0)
    message(FATAL_ERROR "${way}: does not link")
  endif()
  execute_process(COMMAND ${WORK}/${name} RESULT_VARIABLE exit TIMEOUT 60)
  if(NOT exit EQUAL 0)
    message(FATAL_ERROR "${way}: the program ended with ${exit}")
  endif()
  message("works: ${way}")
  math(EXPR tried "${tried} + 1")
endforeach()
if(tried EQUAL 0)
  message(FATAL_ERROR "no compiler was tried")
endif()
