#include "ledger/exhausted.hpp"

#include <fmt/format.h>
#include <airssys/wasm/quantity.hpp>

#include <cerrno>

namespace airssys::wasm::ledger {

namespace {

struct Words {
  HostResource which;
  std::string_view resource;
  bool bytes;
  /// Where an engine has no share of its own.
  std::string_view way_out;
  std::string_view share;
};

constexpr std::array<Words, kKinds> kWords = {{
    {HostResource::Memory, "memory", true, "give the process more memory (its cgroup, or the machine)", "memory"},
    {HostResource::Mappings, "mappings", false, "raise vm.max_map_count", "mappings"},
    {HostResource::AddressSpace, "address space", true, "raise the limit of address space: ulimit -v", "address_space"},
    {HostResource::FileDescriptors, "file descriptors", false, "let this process open more files: ulimit -n 1024",
     "file_descriptors"},
    {HostResource::Threads, "threads", false, "raise the pids limit of the cgroup, or ulimit -u", "threads"},
    {HostResource::PoolMemories, "pool memories", false, "set RuntimeConfig::pool to false", ""},
    {HostResource::PoolMemories, "pool memories", false, "set RuntimeConfig::pool to false", ""},
}};

}  // namespace

Error exhausted(const Shortage& shortage, Phase phase) {
  const auto& words = kWords.at(static_cast<std::size_t>(shortage.kind));
  const auto show = [&](std::uint64_t n) { return words.bytes ? show_bytes(n) : std::to_string(n); };
  auto message =
      shortage.for_ever()
          ? fmt::format("not enough {}: {} needed, and all guests together may take {}", words.resource,
                        show(shortage.needed), show(shortage.capacity))
          : fmt::format("not enough {}: {} needed, and of the {} that all guests may take together {} are taken",
                        words.resource, show(shortage.needed), show(shortage.capacity), show(shortage.used));
  auto help =
      shortage.by_share ? fmt::format("raise RuntimeConfig::shares.{}", words.share) : std::string(words.way_out);
  if (!shortage.for_ever()) {
    help += ", or run fewer at a time";
  }
  return {
      HostExhausted{words.which, 0, shortage.needed, shortage.used, shortage.capacity, words.bytes ? "bytes" : "count"},
      phase,
      std::move(message),
      std::move(help),
      {},
      {}};
}

// Short enough to stand in the strings themselves.
Error no_memory(Phase phase) noexcept {
  return {HostExhausted{HostResource::Memory, ENOMEM}, phase, "no memory", {}, {}, {}};
}

}  // namespace airssys::wasm::ledger
