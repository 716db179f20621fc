# Compiles SOURCE as it is, which has to work without WARNINGS, and with GENSERVER_MUST_FAIL: the
# compiler has to refuse that, and to say what the lines at its end tell. The quoted source lines are
# left out of what it says.
#   // error: WORDS         anywhere
#   // first error: WORDS   in the first error
#   // only error: WORDS    each in an error of its own, and there is no other
cmake_minimum_required(VERSION 3.25)
if(ID STREQUAL "GNU")
  set(quiet -fno-diagnostics-show-caret)
else()
  set(quiet -fno-caret-diagnostics)
endif()
list(TRANSFORM INCLUDES PREPEND -I)
set(compile ${COMPILER} ${STANDARD} ${INCLUDES} -fsyntax-only ${quiet} ${SOURCE})
execute_process(COMMAND ${compile} ${WARNINGS} RESULT_VARIABLE exit)
if(NOT exit EQUAL 0)
  message(FATAL_ERROR "${SOURCE} does not compile without GENSERVER_MUST_FAIL")
endif()
execute_process(
  COMMAND ${compile} -DGENSERVER_MUST_FAIL
  OUTPUT_VARIABLE said
  ERROR_VARIABLE said
  RESULT_VARIABLE exit
)
if(exit EQUAL 0)
  message(FATAL_ERROR "${SOURCE} compiles with GENSERVER_MUST_FAIL")
endif()
string(REPLACE "${SOURCE}" "" messages "${said}")

# What means something in a list of CMake's is replaced.
macro(as_list_item text)
  string(REPLACE ";" "," ${text} "${${text}}")
  string(REGEX REPLACE "[][]" "|" ${text} "${${text}}")
endmacro()

# words_of(KIND RESULT): the words of the lines `// KIND: WORDS`.
function(words_of kind result)
  file(READ ${SOURCE} lines)
  as_list_item(lines)
  string(REGEX MATCHALL "\n// ${kind}: [^\n]+" lines "${lines}")
  list(TRANSFORM lines REPLACE "^\n// ${kind}: " "")
  set(${result} ${lines} PARENT_SCOPE)
endfunction()

function(expect words said what)
  string(FIND "${said}" "${words}" found)
  if(found EQUAL -1)
    message("${messages}")
    message(FATAL_ERROR "${what} does not say \"${words}\"")
  endif()
endfunction()

as_list_item(messages)
string(REGEX MATCHALL "[^\n]*error: [^\n]*" errors "${messages}")
words_of("error" anywhere)
words_of("first error" first)
words_of("only error" only)
if(NOT anywhere AND NOT first AND NOT only)
  message(FATAL_ERROR "${SOURCE} has no line `// error: WORDS`")
endif()

foreach(words IN LISTS anywhere)
  expect("${words}" "${messages}" "the compiler")
endforeach()
foreach(words IN LISTS first)
  list(GET errors 0 error)
  expect("${words}" "${error}" "the first error")
endforeach()
list(LENGTH errors count)
list(LENGTH only expected)
if(only AND NOT count EQUAL expected)
  message("${messages}")
  message(FATAL_ERROR "there are ${count} errors, not ${expected}")
endif()
foreach(words IN LISTS only)
  set(rest)
  set(is_said FALSE)
  foreach(error IN LISTS errors)
    string(FIND "${error}" "${words}" found)
    if(is_said OR found EQUAL -1)
      list(APPEND rest "${error}")
    else()
      set(is_said TRUE)
    endif()
  endforeach()
  if(NOT is_said)
    message("${messages}")
    message(FATAL_ERROR "no error, or one too few, says \"${words}\"")
  endif()
  set(errors ${rest})
endforeach()
