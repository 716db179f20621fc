# Runs PROGRAM, which shares servers with LIBRARY, and looks into the library with NM for variables
# of genserver that it keeps for itself: there would be one more in each program that uses it.
cmake_minimum_required(VERSION 3.25)
execute_process(COMMAND ${PROGRAM} RESULT_VARIABLE exit)
if(NOT exit EQUAL 0)
  message(FATAL_ERROR "the program ended with ${exit}")
endif()

execute_process(COMMAND ${NM} -C ${LIBRARY} OUTPUT_VARIABLE names COMMAND_ERROR_IS_FATAL ANY)
if(NOT names MATCHES " [uVBD] genserver::v[0-9]+::Directory::")
  message(FATAL_ERROR "${NM} does not show what the library shares")
endif()
string(REGEX MATCHALL " [bd] (guard variable for )?genserver::[^\n]*" hidden "${names}")
if(hidden)
  list(JOIN hidden "\n" hidden)
  message(FATAL_ERROR "not shared, for want of [[gnu::visibility(\"default\")]]:\n${hidden}")
endif()
