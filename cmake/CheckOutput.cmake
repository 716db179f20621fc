# Runs PROGRAM and compares what it writes with the comment after the last `// Output:` of SOURCE.
# `...` in a line stands for any characters, and alone on a line for any lines.
cmake_minimum_required(VERSION 3.25)
execute_process(
  COMMAND ${PROGRAM} OUTPUT_VARIABLE actual ERROR_VARIABLE actual RESULT_VARIABLE exit
)
file(READ ${SOURCE} source)
string(REGEX REPLACE ".*\n// Output:\n" "\n" expected "${source}")
string(REGEX REPLACE "\n// ?" "\n" expected "${expected}")
string(REGEX REPLACE "([][\\.+*?^$()|])" "\\\\\\1" pattern "${expected}")
string(REPLACE "\n\\.\\.\\.\n" "\n(.*\n)?" pattern "${pattern}")
string(REPLACE "\\.\\.\\." "[^\n]*" pattern "${pattern}")
if(NOT exit EQUAL 0 OR NOT "\n${actual}" MATCHES "^${pattern}$")
  message("-- expected --${expected}-- actual, exit ${exit} --\n${actual}")
  message(FATAL_ERROR "the output is not what ${SOURCE} says")
endif()
