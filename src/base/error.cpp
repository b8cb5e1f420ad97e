#include <airssys/wasm/error.hpp>
#include <airssys/wasm/text.hpp>
#include <ostream>
#include <utility>

namespace airssys::wasm {

ErrorKind::ErrorKind(const ErrorKind& other) = default;
ErrorKind::ErrorKind(ErrorKind&& other) noexcept = default;
ErrorKind& ErrorKind::operator=(const ErrorKind& other) = default;
ErrorKind& ErrorKind::operator=(ErrorKind&& other) noexcept = default;
ErrorKind::~ErrorKind() = default;

std::string_view name(Phase phase) noexcept {
  static constexpr std::array<std::string_view, 7> kNames = {"queue", "load",        "link", "instantiate",
                                                             "call",  "post_return", "drop"};
  return kNames.at(static_cast<std::size_t>(phase));
}

std::string_view name(HostResource resource) noexcept {
  static constexpr std::array<std::string_view, 14> kNames = {
      "memory",           "mappings",  "address_space",       "file_descriptors", "threads",    "pool_memories",
      "pool_slots",       "instances", "instance_allocation", "unread_output",    "file_space", "compile_helper",
      "operating_system", "forked"};
  static_assert(kNames.size() == static_cast<std::size_t>(HostResource::Forked) + 1);
  return kNames.at(static_cast<std::size_t>(resource));
}

int Error::exit_code() const noexcept {
  if (const auto* exited = std::get_if<Exited>(&kind)) {
    return exited->status & 0xff;
  }
  return info().exit_code;
}

std::ostream& operator<<(std::ostream& out, const Error& error) {
  constexpr std::size_t kMost = 8'192;
  out << harmless(error.message, kMost);
  for (const auto& [title, text] :
       {std::pair{"guest:  ", &error.guest_text}, {"system: ", &error.system_text}, {"help:   ", &error.help}}) {
    if (!text->empty()) {
      out << "\n  " << title << harmless(*text, kMost);
    }
  }
  return out;
}

}  // namespace airssys::wasm
