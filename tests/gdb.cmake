# Looks at PROGRAM with GDB and the commands of SCRIPT, while it runs and in a core dump of it,
# which is written to WORK. Prints "skipped: why" where gdb cannot do its work.
cmake_minimum_required(VERSION 3.25)
set(servers "4 servers
  stock:1 is running, mailbox 0 of 4096, thread N
    handles what was sent by orders:2 at program.cpp:N in operator()
  orders:2 is waiting, mailbox 0 of 4096, thread N
    handles what was sent at program.cpp:N in main
    waits for stock:1 (call at program.cpp:N in operator())
  journal:3 is suspended, mailbox 3 of 16, thread N
  idle:5 is idle, mailbox 0 of 4096, thread N
1 server
  journal:3 is suspended, mailbox 3 of 16, thread N
")
set(call "call to stock:1 at program.cpp:N in main, parked")
set(values "stock:1 (running) = {state = {cups = 5, buyer = ${call}}}
${call}
journal:3 (suspended) = {state = 42}
closed:4 (ended: shutdown: sold out)
no server
shutdown: sold out
program.cpp:N in operator()
")

# Sets `output` to what gdb prints, with numbers of threads and lines as N.
function(run_gdb)
  execute_process(
    COMMAND ${GDB} -q -nx -batch -iex "set debuginfod enabled off" -ex "source ${SCRIPT}" ${ARGN}
    OUTPUT_VARIABLE output ERROR_VARIABLE output WORKING_DIRECTORY ${WORK} TIMEOUT 60
  )
  string(REGEX REPLACE "thread [0-9]+ \\(LWP [0-9]+\\)" "thread N" output "${output}")
  string(REGEX REPLACE "\\.cpp:[0-9]+" ".cpp:N" output "${output}")
  set(output "${output}" PARENT_SCOPE)
endfunction()

function(check_output what)
  foreach(expected IN LISTS ARGN)
    string(FIND "${output}" "${expected}" place)
    if(place EQUAL -1)
      message("-- expected --\n${expected}-- actual, ${what} --\n${output}")
      message(FATAL_ERROR "gdb does not show the servers of ${what}")
    endif()
  endforeach()
endfunction()

if(NOT GDB)
  message("skipped: there is no gdb")
  return()
endif()
run_gdb(-ex "python print(40 + 2)")
if(NOT output MATCHES "^42\n$")
  message("skipped: this gdb has no python: ${output}")
  return()
endif()

set(show -ex "info genservers" -ex "info genservers journal" -ex up)
foreach(value stock reply journal ended empty reason site)
  list(APPEND show -ex "output seen.${value}" -ex "echo \\n")
endforeach()

set(core ${WORK}/genserver.core)
file(REMOVE ${core})
run_gdb(
  -ex "set disable-randomization off" -ex "break stop_here" -ex run ${show}
  -ex "generate-core-file ${core}" -ex kill ${PROGRAM}
)
if(output MATCHES "ptrace: |Operation not permitted|Could not trace|Cannot PTRACE")
  message("skipped: processes cannot be traced here: ${output}")
  return()
endif()
check_output("a live process" "${servers}" "${values}")

run_gdb(-core ${core} ${show} ${PROGRAM})
check_output("a core dump" "${servers}" "${values}")
file(REMOVE ${core})

# What a person sees who has no debug information, or no servers.
run_gdb(-ex "info genservers" ${CMAKE_COMMAND})
check_output("another program" "there are no servers here, or no debug information")
