# fmt, the threads of the platform and, for the tests, Catch2: installed ones if they are found,
# else fetched at a pinned commit.
include(FetchContent)

find_package(Threads REQUIRED)

if(NOT TARGET fmt::fmt)
  set(FMT_INSTALL ${PROJECT_IS_TOP_LEVEL})
  FetchContent_Declare(
    fmt SYSTEM
    GIT_REPOSITORY https://github.com/fmtlib/fmt.git
    GIT_TAG e69e5f977d458f2650bb346dadf2ad30c5320281 # 10.2.1
    FIND_PACKAGE_ARGS 9
  )
  FetchContent_MakeAvailable(fmt)
endif()

if(GENSERVER_BUILD_TESTS AND NOT TARGET Catch2::Catch2)
  FetchContent_Declare(
    Catch2 SYSTEM
    GIT_REPOSITORY https://github.com/catchorg/Catch2.git
    GIT_TAG fa43b77429ba76c462b1898d6cd2f2d7a9416b14 # 3.7.1
    FIND_PACKAGE_ARGS
  )
  FetchContent_MakeAvailable(Catch2)
  if(catch2_SOURCE_DIR)
    list(APPEND CMAKE_MODULE_PATH ${catch2_SOURCE_DIR}/extras) # as its package does
  endif()
endif()
