#pragma once

#include <airssys/wasm/limits.hpp>
#include <array>
#include <cstdint>
#include <string_view>
#include <type_traits>

namespace airssys::wasm::limits {

/// One of `LoadLimits` under the name that errors give it.
template <class Number>
struct NamedLoadLimit {
  std::string_view name;
  Number* value;
  /// Bytes; otherwise a count.
  bool bytes = false;
};

/// Those that describe a component. What the load itself may take (its times and memory) has other names.
template <class Limits>
auto load_limits_by_name(Limits& l) {
  using Number = std::conditional_t<std::is_const_v<Limits>, const std::uint64_t, std::uint64_t>;
  return std::to_array<NamedLoadLimit<Number>>({{"nesting", &l.max_nesting},
                                                {"modules", &l.max_modules},
                                                {"components", &l.max_components},
                                                {"instances", &l.max_instances},
                                                {"functions", &l.max_functions},
                                                {"body_bytes", &l.max_body.count, true},
                                                {"types", &l.max_types},
                                                {"imports", &l.max_imports},
                                                {"exports", &l.max_exports},
                                                {"memories", &l.max_memories},
                                                {"tables", &l.max_tables},
                                                {"linking_steps", &l.max_linking_steps},
                                                {"metadata_bytes", &l.max_metadata.count, true},
                                                {"type_depth", &l.max_type_depth},
                                                {"type_nodes", &l.max_type_nodes},
                                                {"text_bytes", &l.max_text.count, true}});
}

}  // namespace airssys::wasm::limits
