# Writes the headers that are checked to OUTPUT, with what Relacy checks in the place of atomics,
# mutexes and plain variables, and with every mutant of mutants.cmake built in, switched off. What
# cannot be done is told by mutant.hpp, and fails the tests.
#   cmake -DROOT=<project> -DOUTPUT=<folder> -DFILES=<headers> -P rewrite.cmake
cmake_minimum_required(VERSION 3.25)

set(problems "")
set(table "")
set(number 0)

# Sets `count` to how often `part` occurs in `text`: 0, 1 or 2 for more.
function(count_in text part)
  string(FIND "${text}" "${part}" first)
  string(FIND "${text}" "${part}" last REVERSE)
  if(first EQUAL -1)
    set(count 0 PARENT_SCOPE)
  elseif(first EQUAL last)
    set(count 1 PARENT_SCOPE)
  else()
    set(count 2 PARENT_SCOPE)
  endif()
endfunction()

function(name_of file)
  string(MAKE_C_IDENTIFIER "text_${file}" name)
  set(name ${name} PARENT_SCOPE)
endfunction()

# rewrite(file before after): in exactly one place.
macro(rewrite file before after)
  name_of(${file})
  count_in("${${name}}" "${before}")
  if(count EQUAL 1)
    string(REPLACE "${before}" "${after}" ${name} "${${name}}")
  else()
    string(APPEND problems "    R\"~(${file}: not in exactly one place: ${before})~\",\n")
  endif()
endmacro()

# mutant(name suite file "code {{before => after}} code"): the text without the mutation is in
# exactly one place of the file. `before` and `after` are statements, if one of them ends with a
# semicolon, or else expressions.
function(mutant mutant suite file pattern)
  name_of(${file})
  set(problem "")
  if(NOT "${pattern}" MATCHES "^(.*){{(.*) =>( (.*))?}}(.*)$")
    set(problem "its pattern is not of the form {{before => after}}")
  else()
    set(head "${CMAKE_MATCH_1}")
    set(before "${CMAKE_MATCH_2}")
    set(after "${CMAKE_MATCH_4}")
    set(tail "${CMAKE_MATCH_5}")
    count_in("${original_${name}}" "${head}${before}${tail}")
    set(in_original ${count})
    count_in("${${name}}" "${head}${before}${tail}")
    if(NOT in_original EQUAL 1)
      set(problem "not in exactly one place of ${file}: ${head}${before}${tail}")
    elseif(NOT count EQUAL 1)
      set(problem "another mutant has changed its place in ${file}: ${head}${before}${tail}")
    elseif("${before}${after}" MATCHES ";$")
      set(both "{ if (model::is_mutant(${number})) { ${after} } else { ${before} } }")
    else()
      set(both "(model::is_mutant(${number}) ? (${after}) : (${before}))")
    endif()
    if(problem STREQUAL "")
      string(REPLACE "${head}${before}${tail}" "${head}${both}${tail}" ${name} "${${name}}")
      set(${name} "${${name}}" PARENT_SCOPE)
    endif()
  endif()
  set(entry "    {${number}, \"${mutant}\", \"${suite}\", R\"~(${problem})~\"},\n")
  string(APPEND table "${entry}")
  set(table "${table}" PARENT_SCOPE)
  math(EXPR number "${number} + 1")
  set(number ${number} PARENT_SCOPE)
endfunction()

foreach(file IN LISTS FILES)
  name_of(${file})
  file(READ ${ROOT}/include/genserver/${file} ${name})
  set(original_${name} "${${name}}")
endforeach()

include(${CMAKE_CURRENT_LIST_DIR}/mutants.cmake)

rewrite(sync/mailbox.hpp "pause_cpu()" "model::pause()")
rewrite(sync/mailbox.hpp "looks = 4" "looks = 1") # the others would only take time
rewrite(sync/mailbox.hpp "pauses = 16" "pauses = 1") # as well
rewrite(sync/turn_lease.hpp "least = 64" "least = 2") # else there would be no lease
rewrite(sync/turn_lease.hpp "most = 1 << 16" "most = 2")
# A bit-field is a variable that others may not touch, as any other.
rewrite(
  base/message.hpp "std::uint64_t is_counted : 1 = 0"
  "model::Plain<std::uint64_t> is_counted = 0"
)
rewrite(base/message.hpp "Message* next = nullptr;" "model::Plain<Message*> next = nullptr;")

set(scalar "bool|int|unsigned|std::u?int[0-9]+_t|std::size_t|[A-Z][A-Za-z]*[*]")
foreach(file IN LISTS FILES)
  name_of(${file})
  set(text "${${name}}")
  string(REPLACE "std::atomic<" "model::Atomic<" text "${text}")
  string(REPLACE "std::memory_order_" "model::memory_order_" text "${text}")
  string(REPLACE "std::mutex" "model::Mutex" text "${text}")
  string(REGEX REPLACE "\n  (${scalar}) ([a-z_]+_)({| =)" "\n  model::Plain<\\1> \\2\\3"
         text "${text}")
  string(REPLACE "#include <genserver/sync/platform/wait.hpp>" "#include <models/futex.hpp>" text
                 "${text}")
  set(includes "#include <models/checked.hpp>\n#include <models/mutant.hpp>\n")
  string(REPLACE "#pragma once\n" "#pragma once\n\n${includes}" text "${text}")
  if(text MATCHES "std::(atomic|memory_order|[a-z_]*mutex|condition|this_thread|j?thread)[a-z_]*")
    string(APPEND problems "    \"${file}: ${CMAKE_MATCH_0} is not checked\",\n")
  endif()
  file(WRITE ${OUTPUT}/genserver/${file} "${text}")
endforeach()

file(READ ${CMAKE_CURRENT_LIST_DIR}/mutant.hpp.in form)
string(CONFIGURE "${form}" form @ONLY)
file(WRITE ${OUTPUT}/models/mutant.hpp "${form}")
