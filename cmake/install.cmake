# What is installed, in two components (the command; what links the library, which needs the former's helper), and the
# Debian packages of them.
include(CMakePackageConfigHelpers)

set(document_directory ${CMAKE_INSTALL_DATAROOTDIR}/doc/airssys-wasm)
if(AIRSSYS_WASM_PROGRAM)
  install(TARGETS airssys-wasm-program RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT airssys-wasm-program)
  # The command writes them itself, from its table of options.
  set(shell_files ${CMAKE_CURRENT_BINARY_DIR}/shell)
  find_program(GZIP gzip REQUIRED)
  add_custom_command(TARGET airssys-wasm-program POST_BUILD
    COMMAND ${CMAKE_COMMAND} -E make_directory ${shell_files}
    COMMAND airssys-wasm-program completion bash > ${shell_files}/airssys-wasm
    COMMAND airssys-wasm-program completion zsh > ${shell_files}/_airssys-wasm
    COMMAND airssys-wasm-program completion fish > ${shell_files}/airssys-wasm.fish
    COMMAND airssys-wasm-program manual > ${shell_files}/airssys-wasm.1
    COMMAND ${GZIP} -9nf ${shell_files}/airssys-wasm.1
    VERBATIM)
  set(share ${CMAKE_INSTALL_DATAROOTDIR})
  foreach(pair airssys-wasm:${share}/bash-completion/completions _airssys-wasm:${share}/zsh/vendor-completions
      airssys-wasm.fish:${share}/fish/vendor_completions.d airssys-wasm.1.gz:${CMAKE_INSTALL_MANDIR}/man1)
    string(REPLACE ":" ";" pair ${pair})
    list(GET pair 0 file)
    list(GET pair 1 destination)
    install(FILES ${shell_files}/${file} DESTINATION ${destination} COMPONENT airssys-wasm-program)
  endforeach()
endif()
install(TARGETS airssys-wasm-compile RUNTIME DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/airssys-wasm COMPONENT airssys-wasm-program)
install(FILES LICENSE README.md SECURITY.md DESTINATION ${document_directory} COMPONENT airssys-wasm-program)
find_program(GZIP gzip REQUIRED)
execute_process(COMMAND ${GZIP} -9nc ${PROJECT_SOURCE_DIR}/CHANGELOG.md OUTPUT_FILE ${CMAKE_CURRENT_BINARY_DIR}/changelog.gz COMMAND_ERROR_IS_FATAL ANY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/changelog.gz DESTINATION ${document_directory} COMPONENT airssys-wasm-program)
install(DIRECTORY docs/ DESTINATION ${document_directory} COMPONENT airssys-wasm-program)
# ./dev writes the terms of everything that is inside beside the bridge.
if(EXISTS ${bridge_archive}.copyright OR NOT AIRSSYS_WASM_BRIDGE)
  install(FILES ${bridge_archive}.copyright DESTINATION ${document_directory} RENAME copyright COMPONENT airssys-wasm-program)
else()
  message(WARNING "${bridge_archive}.copyright is missing: what is installed has no terms of third parties (./dev bridge FILE writes both)")
endif()

# For find_package(airssys-wasm): docs/embedding.md.
set(package ${CMAKE_INSTALL_LIBDIR}/cmake/airssys-wasm)
install(DIRECTORY include/airssys DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT airssys-wasm-development)
install(TARGETS airssys-wasm EXPORT airssys-wasm
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT airssys-wasm-development)
install(FILES ${bridge_archive} DESTINATION ${CMAKE_INSTALL_LIBDIR} RENAME libairssys_wasm_bridge.a COMPONENT airssys-wasm-development)
install(EXPORT airssys-wasm NAMESPACE airssys-wasm:: FILE airssys-wasm-targets.cmake DESTINATION ${package} COMPONENT airssys-wasm-development)
configure_package_config_file(cmake/airssys-wasm-config.cmake.in airssys-wasm-config.cmake
  INSTALL_DESTINATION ${package} PATH_VARS CMAKE_INSTALL_LIBDIR CMAKE_INSTALL_LIBEXECDIR)
write_basic_package_version_file(airssys-wasm-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/airssys-wasm-config.cmake ${CMAKE_CURRENT_BINARY_DIR}/airssys-wasm-config-version.cmake
  cmake/compile_helper.cpp.in DESTINATION ${package} COMPONENT airssys-wasm-development)
# For those without CMake.
file(RELATIVE_PATH prefix_from_pc ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
configure_file(cmake/airssys-wasm.pc.in airssys-wasm.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/airssys-wasm.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT airssys-wasm-development)

if(NOT PROJECT_IS_TOP_LEVEL)
  return()
endif()
set(AIRSSYS_WASM_PACKAGE_VERSION ${PROJECT_VERSION} CACHE STRING "of the Debian packages")
set(CPACK_GENERATOR DEB)
set(CPACK_DEBIAN_PACKAGE_VERSION ${AIRSSYS_WASM_PACKAGE_VERSION})
set(CPACK_PACKAGE_CONTACT "airsstack <airsstack@users.noreply.github.com>")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_PACKAGE_DIRECTORY ${PROJECT_SOURCE_DIR}/build/packages)
set(CPACK_THREADS 0)
set(CPACK_COMPONENTS_ALL airssys-wasm-program airssys-wasm-development)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
  OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
set(CPACK_DEBIAN_PACKAGE_HOMEPAGE https://github.com/airsstack/airssys)
set(CPACK_DEBIAN_AIRSSYS-WASM-PROGRAM_PACKAGE_NAME airssys-wasm)
set(CPACK_DEBIAN_AIRSSYS-WASM-PROGRAM_PACKAGE_SECTION utils)
set(CPACK_DEBIAN_AIRSSYS-WASM-PROGRAM_PACKAGE_SHLIBDEPS ON)
set(CPACK_COMPONENT_AIRSSYS-WASM-PROGRAM_DESCRIPTION "run WebAssembly components on budgets that hold
Runs other people's WebAssembly components (component model, WASI 0.2) with
limits on fuel, wall clock, CPU time and memory, and says exactly why anything
stopped and what it used.")
set(CPACK_DEBIAN_AIRSSYS-WASM-DEVELOPMENT_PACKAGE_NAME libairssys-wasm-dev)
set(CPACK_DEBIAN_AIRSSYS-WASM-DEVELOPMENT_PACKAGE_SECTION libdevel)
# The helper, which compiles for every program that links the library, is in the command's package.
set(CPACK_DEBIAN_AIRSSYS-WASM-DEVELOPMENT_PACKAGE_DEPENDS
  "airssys-wasm (= ${AIRSSYS_WASM_PACKAGE_VERSION}), libc6-dev, libsodium-dev, libstdc++-12-dev | libstdc++-dev, pkg-config")
set(CPACK_COMPONENT_AIRSSYS-WASM-DEVELOPMENT_DESCRIPTION "run WebAssembly components inside a C++ program (development files)
The library of airssys-wasm for C++23: static archives, headers, and what CMake
and pkg-config want to know.")
# Its documents and terms are those of the command's package.
file(CREATE_LINK airssys-wasm ${CMAKE_CURRENT_BINARY_DIR}/libairssys-wasm-dev SYMBOLIC)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/libairssys-wasm-dev DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/doc COMPONENT airssys-wasm-development)
include(CPack)
