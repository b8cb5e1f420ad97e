#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace airssys::wasm {

/// Something outside of itself that a component may ask for.
enum class Capability : std::uint8_t { Filesystem, NetworkTcp, NetworkUdp, NetworkNameLookup, HttpOutbound };

/// One row for each `Capability`, in its order: the one list behind reports, errors, the command and the documents.
struct CapabilityInfo {
  /// The stable name in reports.
  std::string_view name;
  std::string_view meaning;
  /// The command's option that grants it; empty for what cannot be granted.
  std::string_view option;
};

inline constexpr std::array kCapabilities = {
    CapabilityInfo{"filesystem", "files and directories of the host", "--dir HOST::GUEST:rw"},
    CapabilityInfo{"network.tcp", "TCP sockets", ""},
    CapabilityInfo{"network.udp", "UDP sockets", ""},
    CapabilityInfo{"network.name-lookup", "addresses of host names", ""},
    CapabilityInfo{"http.outbound", "HTTP requests to others", ""},
};
static_assert(kCapabilities.size() == static_cast<std::size_t>(Capability::HttpOutbound) + 1);

[[nodiscard]] constexpr const CapabilityInfo& info(Capability capability) noexcept {
  return kCapabilities.at(static_cast<std::size_t>(capability));
}
[[nodiscard]] constexpr std::string_view name(Capability capability) noexcept { return info(capability).name; }

}  // namespace airssys::wasm
