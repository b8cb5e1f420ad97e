#pragma once

#include <airssys/wasm/error.hpp>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

/// What a stranger's bytes are, before anything else looks at them.
namespace airssys::wasm::load {

/// LoadFailed for what is no component.
[[nodiscard]] Error load_failed(std::string message, std::string help = {});

/// Binary bytes: refuses what is not a component of the version that can be read, and says what it is instead.
[[nodiscard]] Result<void> check_binary(std::span<const std::uint8_t> bytes);
/// Text: refuses what is none.
[[nodiscard]] Result<void> check_text(std::string_view text, std::uint64_t looked_at_most);
/// Prose, a script, a program in another language do not: not the mistake of somebody who writes a component.
[[nodiscard]] bool begins_like_wat(std::string_view text);

/// Where components come from.
inline constexpr const char* kWhatIsOne =
    "components are made by 'wasm-tools component new', 'cargo build --target wasm32-wasip2', jco and componentize-py; "
    "their text begins with (component";

}  // namespace airssys::wasm::load
