# add_component(NAME DIRS folder... NEEDS target...)
#
# Makes the header-only target genserver::NAME from include/genserver/NAME.hpp and the headers of
# each include/genserver/<folder>. Installation and the check that every header compiles alone
# follow from its file set.
function(add_component name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "DIRS;NEEDS")
  set(include ${PROJECT_SOURCE_DIR}/include)
  list(TRANSFORM arg_DIRS REPLACE "(.+)" "${include}/genserver/\\1/*.hpp" OUTPUT_VARIABLE patterns)
  file(GLOB_RECURSE headers CONFIGURE_DEPENDS ${include}/genserver/${name}.hpp ${patterns})

  # An add-on is genserver_NAME inside the build, so that it cannot meet a user's target.
  string(REPLACE genserver_genserver genserver target genserver_${name})
  add_library(${target} INTERFACE)
  add_library(genserver::${name} ALIAS ${target})
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${name})
  target_sources(${target} INTERFACE FILE_SET HEADERS BASE_DIRS ${include} FILES ${headers})
  target_compile_features(${target} INTERFACE cxx_std_20)
  target_link_libraries(${target} INTERFACE ${arg_NEEDS})

  if(PROJECT_IS_TOP_LEVEL)
    install(TARGETS ${target} EXPORT genserver-targets FILE_SET HEADERS)
    set_target_properties(${target} PROPERTIES VERIFY_INTERFACE_HEADER_SETS ON)
  endif()
endfunction()
