# Compiles tests/lines/program.cpp in the ways that programs are compiled, and compares what each
# finds on its own stack. Then damages one of them.
cmake_minimum_required(VERSION 3.25)
file(REMOVE_RECURSE ${WORK})
file(MAKE_DIRECTORY ${WORK})
list(TRANSFORM INCLUDES PREPEND -I)
include(${CMAKE_CURRENT_LIST_DIR}/support/run.cmake)
set(compile ${COMPILER} ${STANDARD} ${INCLUDES})
set(failures 0)

# Runs `program` and compares what it prints with a regular expression.
macro(expect what expected)
  run(./program)
  if(NOT said MATCHES "^${expected}\n$")
    message("${what}: ${said}  expected: ${expected}")
    math(EXPR failures "${failures} + 1")
  endif()
endmacro()

# Compiles and links the program.
function(build)
  run(${compile} ${ARGN} -c ${SOURCES}/program.cpp -o program.o)
  run(${COMPILER} ${ARGN} program.o check.o -o program -pthread)
endfunction()

run(${compile} -O1 -c ${SOURCES}/check.cpp -o check.o)

set(all "5 functions, 5 lines; [^;:]*")
foreach(
  flags IN ITEMS
  "-O0 -g" "-O2 -g" "-O3 -g" "-O2 -g1 -DONLY_LINES" "-O2 -g -gdwarf-4" "-O1 -g -gdwarf-3" "-O2 -g -gz"
  "-O2 -g -ffunction-sections -Wl,--gc-sections" "-O2 -g -no-pie -fno-pie" "-O2 -g -static"
  "-O2 -g -gsplit-dwarf" "-O2 -g -gdwarf-4 -gsplit-dwarf"
)
  separate_arguments(arguments UNIX_COMMAND "${flags}")
  build(${arguments})
  expect("${flags}" "${all}")
endforeach()
if(ID STREQUAL "GNU")
  build(-O2 -g -flto)
  expect(-flto "${all}")
endif()

build(-O2 -g -gsplit-dwarf)
file(REMOVE ${WORK}/program.dwo)
expect("split file removed" "3 functions, 1 lines; .*; no inlined frames: cannot read .*program\\.dwo")

build(-O2)
expect("no debug information" "3 functions, 0 lines; .*; no line numbers: program has no debug information")

build(-O2 -g)
file(COPY_FILE ${WORK}/program ${WORK}/whole)
run(${OBJCOPY} --only-keep-debug program program.debug)
run(${OBJCOPY} --strip-all --add-gnu-debuglink=program.debug program)
expect("separate file" "${all}")
file(MAKE_DIRECTORY ${WORK}/.debug)
file(RENAME ${WORK}/program.debug ${WORK}/.debug/program.debug)
expect("separate file in .debug" "${all}")
file(REMOVE ${WORK}/.debug/program.debug)
expect("separate file removed" "[01] functions, 0 lines; .*; no line numbers: program has no debug information")

run(${compile} -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all ${SOURCES}/damage.cpp -o damage)
run(./damage damage copy 200)

if(failures GREATER 0)
  message(FATAL_ERROR "${failures} failures")
endif()
