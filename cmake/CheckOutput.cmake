# Runs PROGRAM and compares what it writes with the comment after the last `// Output:` of SOURCE.
# `...` in a line stands for any characters, and alone on a line for any lines, nine times at most.
# What follows a `// Input:` before it is given to the program.
cmake_minimum_required(VERSION 3.25)
file(READ ${SOURCE} source)
set(input)
if(source MATCHES "\n// Input:\n(.*)\n// Output:\n")
  string(REGEX REPLACE "(^|\n)// ?" "\\1" lines "${CMAKE_MATCH_1}")
  cmake_path(GET SOURCE STEM name)
  set(input INPUT_FILE ${CMAKE_CURRENT_BINARY_DIR}/${name}.input)
  file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/${name}.input "${lines}\n")
endif()
execute_process(
  COMMAND ${PROGRAM} ${input} OUTPUT_VARIABLE actual ERROR_VARIABLE actual RESULT_VARIABLE exit
)
string(REGEX REPLACE ".*\n// Output:\n" "\n" expected "${source}")
string(REGEX REPLACE "\n// ?" "\n" expected "${expected}")
string(REGEX REPLACE "([][\\.+*?^$()|])" "\\\\\\1" pattern "${expected}")
string(REPLACE "\n\\.\\.\\.\n" "\n(.*\n)?" pattern "${pattern}")
string(REPLACE "\\.\\.\\." "[^\n]*" pattern "${pattern}")
if(NOT exit EQUAL 0 OR NOT "\n${actual}" MATCHES "^${pattern}$")
  message("-- expected --${expected}-- actual, exit ${exit} --\n${actual}")
  message(FATAL_ERROR "the output is not what ${SOURCE} says")
endif()
