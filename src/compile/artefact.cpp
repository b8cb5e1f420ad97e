#include "compile/artefact.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstring>

#include "compile/load_error.hpp"

namespace airssys::wasm::compile {

Error os_failure(std::string_view what) {
  const int number = errno;
  const auto lacking = base::lacks_descriptors(number) ? HostResource::FileDescriptors : HostResource::Memory;
  return host_exhausted(lacking, number, fmt::format("{} for the compiler: {}", what, std::strerror(number)));
}

Result<base::Fd> memory_file(const char* name) {
  base::Fd file(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file) {
    return std::unexpected(os_failure("no memory file"));
  }
  return file;
}

Result<Artefact> seal(base::Fd memory_file, std::uint64_t size) {
  if (::fcntl(memory_file.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0) {
    return std::unexpected(os_failure("no seal"));
  }
  return Artefact{std::move(memory_file), size};
}

Result<Artefact> seal(std::span<const std::uint8_t> bytes) {
  auto file = memory_file("artefact");
  if (!file) {
    return std::unexpected(std::move(file.error()));
  }
  if (!base::write_all(file->get(), bytes)) {
    return std::unexpected(os_failure("no memory"));
  }
  return seal(std::move(*file), bytes.size());
}

}  // namespace airssys::wasm::compile
