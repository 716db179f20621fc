# Lets the programs in PROGRAMS measure everything, in as little time as possible: each has to print
# numbers for each measure of each peer, and to refuse what it does not know.
cmake_minimum_required(VERSION 3.25)
foreach(program IN ITEMS genserver mutex actor)
  execute_process(
    COMMAND ${PROGRAMS}/${program} --list OUTPUT_VARIABLE list COMMAND_ERROR_IS_FATAL ANY
  )
  string(REGEX MATCHALL "[^\n]+" peers "${list}")
  if(NOT peers)
    message(FATAL_ERROR "${program} knows no peer")
  endif()
  foreach(line IN LISTS peers)
    separate_arguments(measures UNIX_COMMAND "${line}")
    list(POP_FRONT measures peer)
    execute_process(
      COMMAND ${PROGRAMS}/${program} --peer ${peer} --scale 0.01 ${measures}
      OUTPUT_VARIABLE output COMMAND_ERROR_IS_FATAL ANY
    )
    foreach(measure IN LISTS measures)
      if(NOT "\n${output}" MATCHES "\n${measure}[a-z_]* -?[0-9.e+-]+ [^ \n]+\n")
        message(FATAL_ERROR "${program} prints no number for ${measure} of ${peer}:\n${output}")
      endif()
    endforeach()
  endforeach()
  execute_process(
    COMMAND ${PROGRAMS}/${program} nonsense RESULT_VARIABLE exit ERROR_VARIABLE error
    OUTPUT_VARIABLE output
  )
  if(NOT exit EQUAL 2 OR NOT error MATCHES "there is no measure \"nonsense\"")
    message(FATAL_ERROR "${program} does not refuse an unknown measure: ${exit}\n${output}${error}")
  endif()
endforeach()
