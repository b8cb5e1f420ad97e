# `build_text`: what the command says of its own build. A new commit configures anew.
string(TOLOWER "${CMAKE_BUILD_TYPE}" build_kind)
find_program(GIT git)
if(GIT AND EXISTS ${PROJECT_SOURCE_DIR}/.git)
  execute_process(COMMAND ${GIT} -C ${PROJECT_SOURCE_DIR} rev-parse --short HEAD OUTPUT_VARIABLE build_commit
    OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/.git/logs/HEAD)
endif()
if(NOT build_commit)
  set(build_commit "a source archive")
endif()
set(build_text "${build_kind} build of ${build_commit}, ${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}, ${CMAKE_SYSTEM_PROCESSOR}")
