# run(COMMAND...): runs it in WORK, sets `said` to what it prints, and fails if it does.
function(run)
  execute_process(
    COMMAND ${ARGN} WORKING_DIRECTORY ${WORK} RESULT_VARIABLE exit OUTPUT_VARIABLE said
    ERROR_VARIABLE errors
  )
  if(NOT exit EQUAL 0)
    list(JOIN ARGN " " command)
    message(FATAL_ERROR "failed: ${command}\n${said}${errors}")
  endif()
  set(said "${said}" PARENT_SCOPE)
endfunction()
