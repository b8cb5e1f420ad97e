#pragma once

#include <airssys/wasm/type.hpp>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

/// Sentences about values that do not fit their types.
namespace airssys::wasm::wit {

/// What a value of this type is: `a u8 (0 to 255)`, `one of red, green, blue`.
[[nodiscard]] std::string expected(const Type& type);

/// The name among the members of `type` that `wrong` was probably meant to be, as `; did you mean red?`; or empty.
[[nodiscard]] std::string did_you_mean(std::string_view wrong, const Type& type);

/// The word of a WAVE text that stands at `place`: to the next mark or blank on both sides.
[[nodiscard]] std::string_view word_at(std::string_view text, std::size_t place);

/// What to write instead of `word`, where a value of `kind` belongs in the arguments of a function of this type.
/// Nothing for the kind where the text could not even be parsed.
[[nodiscard]] std::string wave_help(std::string_view word, std::optional<Type::Kind> kind, const FunctionType& type);

}  // namespace airssys::wasm::wit
