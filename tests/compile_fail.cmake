# Compiles SOURCE with GENSERVER_MUST_FAIL: the compiler has to refuse it, and to say every word
# of the `// error: WORD` lines. The quoted source lines are left out of what it says.
cmake_minimum_required(VERSION 3.25)
if(ID STREQUAL "GNU")
  set(quiet -fno-diagnostics-show-caret)
else()
  set(quiet -fno-caret-diagnostics)
endif()
list(TRANSFORM INCLUDES PREPEND -I)
list(TRANSFORM DEFINITIONS PREPEND -D)
execute_process(
  COMMAND
    ${COMPILER} ${STANDARD} ${INCLUDES} ${DEFINITIONS} -DGENSERVER_MUST_FAIL -fsyntax-only ${quiet}
    ${SOURCE}
  OUTPUT_VARIABLE said
  ERROR_VARIABLE said
  RESULT_VARIABLE exit
)
if(exit EQUAL 0)
  message(FATAL_ERROR "${SOURCE} compiles with GENSERVER_MUST_FAIL")
endif()
string(REPLACE "${SOURCE}" "" messages "${said}")

file(STRINGS ${SOURCE} words REGEX "^ *// error: .+")
if(NOT words)
  message(FATAL_ERROR "${SOURCE} has no line `// error: WORD`")
endif()
foreach(word IN LISTS words)
  string(REGEX REPLACE "^ *// error: " "" word "${word}")
  string(FIND "${messages}" "${word}" found)
  if(found EQUAL -1)
    message("${said}")
    message(FATAL_ERROR "the compiler does not say \"${word}\"")
  endif()
endforeach()
