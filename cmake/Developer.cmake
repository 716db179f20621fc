# developer: what tests and examples are compiled with, and users never see.
add_library(developer INTERFACE)
target_compile_options(
  developer
  INTERFACE
    -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wdouble-promotion -Wold-style-cast
    -Wshadow -Wundef -Wvla -Wunused -Wformat=2 -Wcast-align -Wcast-qual -Wnull-dereference
    -Wnon-virtual-dtor -Woverloaded-virtual -Wsuggest-override -Wdeprecated-copy-dtor -Wextra-semi
    -Wimplicit-fallthrough -Wmismatched-tags -Wredundant-decls -Wzero-as-null-pointer-constant
)

if(GENSERVER_SANITIZE)
  # Sanitized code misleads the compilers' flow analysis, so its warnings are no errors there;
  # assertions are on, while the plain build is what users get. Optimising it takes long, and
  # AddressSanitizer with UBSan longest by far.
  set(sanitize -fsanitize=${GENSERVER_SANITIZE} -fno-sanitize-recover=all)
  set(level -O0)
  if(GENSERVER_SANITIZE STREQUAL "thread")
    set(level -O1)
  endif()
  target_compile_options(
    developer INTERFACE ${sanitize} ${level} -g1 -fno-omit-frame-pointer -UNDEBUG
  )
  target_link_options(developer INTERFACE ${sanitize})
else()
  target_compile_options(developer INTERFACE -Werror)
endif()
