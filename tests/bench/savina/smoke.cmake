# Lets the programs in PROGRAMS run the whole suite at a small scale; each benchmark checks what
# came out.
cmake_minimum_required(VERSION 3.25)
foreach(program IN LISTS PROGRAMS)
  execute_process(COMMAND ${program} --list OUTPUT_VARIABLE names COMMAND_ERROR_IS_FATAL ANY)
  separate_arguments(names UNIX_COMMAND "${names}")
  list(POP_FRONT names peer)
  list(LENGTH names count)
  if(NOT count EQUAL 12)
    message(FATAL_ERROR "${peer} has ${count} benchmarks, expected are 12: ${names}")
  endif()
  execute_process(
    COMMAND ${program} --scale 0.01 ${names} OUTPUT_VARIABLE output COMMAND_ERROR_IS_FATAL ANY
  )
  foreach(name IN LISTS names)
    if(NOT "\n${output}" MATCHES "\n${name} [0-9.e+-]+ ms\n")
      message(FATAL_ERROR "${peer} prints no time for ${name}:\n${output}")
    endif()
  endforeach()
endforeach()
