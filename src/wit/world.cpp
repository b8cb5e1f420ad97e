#include "wit/world.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string_view>

#include "wit/type_text.hpp"

namespace airssys::wasm::wit {

namespace {

using Kind = Type::Kind;

/// Types that WIT only knows by a name.
bool is_nominal(const Type& type) {
  return type.kind == Kind::Record || type.kind == Kind::Variant || type.kind == Kind::Enum || type.kind == Kind::Flags;
}

std::string indented(unsigned depth) { return std::string(std::size_t{2} * depth, ' '); }

/// A function of a resource: what stands before the resource's name, the name, and the function's own.
struct OfResource {
  std::string_view role, resource, name;
};
std::optional<OfResource> of_resource(std::string_view path) {
  const auto close = path.find(']');
  if (!path.starts_with('[') || close == std::string_view::npos) {
    return {};
  }
  const auto rest = path.substr(close + 1);
  const auto dot = std::min(rest.find('.'), rest.size());
  return OfResource{path.substr(1, close - 1), rest.substr(0, dot), rest.substr(std::min(dot + 1, rest.size()))};
}

/// `x: func(…)` as it stands in the body of its resource.
std::string in_resource(const OfResource& function, const FunctionType& type, const Names& names) {
  auto shown = type;
  if (function.role == "method" && !shown.parameters.empty()) {
    shown.parameters.erase(shown.parameters.begin());
  }
  if (function.role == "constructor") {
    // One that may fail says so.
    if (shown.result && shown.result->kind == Kind::Own) {
      shown.result.reset();
    }
    return "constructor" + names.text(shown).substr(std::string_view("func").size());
  }
  return fmt::format("{}: {}{}", function.name, function.role == "static" ? "static " : "", names.text(shown));
}

class Writer {
 public:
  /// `verb`: `import` or `export`, for what stands in the world itself.
  void externs(const Externs& all, const Names& names, std::string_view verb, unsigned depth) {
    for (const auto& [name, item] : all) {
      const auto begin = indented(depth);
      const auto lead = verb.empty() ? begin : fmt::format("{}{} ", begin, verb);
      switch (item.kind) {
        case Item::Kind::Function:
          if (!of_resource(name)) {
            out_ += fmt::format("{}{}: {};\n", lead, name, names.text(item.function));
          }
          break;
        case Item::Kind::Instance:
          out_ += fmt::format("{}{}: interface {{\n", lead, name);
          externs(item.instance, Names(item.instance, &names), {}, depth + 1);
          out_ += begin + "}\n";
          break;
        case Item::Kind::Type: out_ += begin + definition(name, item.type, names); break;
        case Item::Kind::Resource: resource(all, name, names, depth); break;
        case Item::Kind::CoreModule: out_ += fmt::format("{}// {}: a core module\n", lead, name); break;
        case Item::Kind::Component: out_ += fmt::format("{}// {}: a component\n", lead, name); break;
        case Item::Kind::CoreFunction: out_ += fmt::format("{}// {}: a core function\n", lead, name); break;
      }
    }
  }
  std::string text() && { return std::move(out_); }

 private:
  static std::string definition(const std::string& name, const Type& type, const Names& names) {
    const bool handle = type.kind == Kind::Own || type.kind == Kind::Borrow;
    const auto written = handle ? names.text(type) : names.definition(type);
    const auto space = written.find(' ');
    return is_nominal(type) && space != std::string::npos
               ? fmt::format("{} {}{}\n", written.substr(0, space), name, written.substr(space))
               : fmt::format("type {} = {};\n", name, written);
  }
  void resource(const Externs& around, const std::string& name, const Names& names, unsigned depth) {
    std::string body;
    for (const auto& [path, item] : around) {
      const auto function = item.kind == Item::Kind::Function ? of_resource(path) : std::nullopt;
      if (function && function->resource == name) {
        body += fmt::format("{}{};\n", indented(depth + 1), in_resource(*function, item.function, names));
      }
    }
    out_ += body.empty() ? fmt::format("{}resource {};\n", indented(depth), name)
                         : fmt::format("{}resource {} {{\n{}{}}}\n", indented(depth), name, body, indented(depth));
  }

  std::string out_;
};

/// `only`: of one function; null for all.
void collect(const Externs& externs, const Names& around, const std::string& prefix, const std::string_view* only,
             std::vector<std::pair<std::string, std::string>>& out) {
  const Names names(externs, &around);
  for (const auto& [name, item] : externs) {
    const auto path = prefix + name;
    if (item.kind == Item::Kind::Function && (only == nullptr || path == *only)) {
      out.emplace_back(path, names.text(item.function));
    } else if (item.kind == Item::Kind::Instance && (only == nullptr || only->starts_with(path + "#"))) {
      collect(item.instance, names, path + "#", only, out);
    }
  }
}

}  // namespace

Names::Names(const Externs& externs, const Names* around) : around_(around) {
  for (const auto& [name, item] : externs) {
    if (item.kind == Item::Kind::Type && is_nominal(item.type)) {
      // Two names of one structure: which is meant cannot be told, so neither is used.
      const auto [at, added] = types_.try_emplace(to_wit(item.type), name);
      if (!added) {
        at->second.clear();
      }
    } else if (item.kind == Item::Kind::Resource) {
      resources_.try_emplace(item.type.number, name);
    }
  }
}

std::string Names::text(const Type& type) const {
  const bool handle = type.kind == Kind::Own || type.kind == Kind::Borrow;
  const auto key = is_nominal(type) ? to_wit(type) : std::string();
  for (const auto* names = this; names != nullptr && (handle || !key.empty()); names = names->around_) {
    if (const auto found = names->types_.find(key); !handle && found != names->types_.end()) {
      return found->second.empty() ? definition(type) : found->second;
    }
    if (const auto found = names->resources_.find(type.number); handle && found != names->resources_.end()) {
      return type.kind == Kind::Own ? found->second : "borrow<" + found->second + ">";
    }
  }
  return definition(type);
}

std::string Names::definition(const Type& type) const {
  return type_text(type, [this](const Type& part) { return text(part); });
}

std::string Names::text(const FunctionType& type) const {
  return function_text(type, [this](const Type& part) { return text(part); });
}

std::vector<std::pair<std::string, std::string>> signatures(const Description& description) {
  std::vector<std::pair<std::string, std::string>> out;
  collect(description.exports, Names(description.imports), "", nullptr, out);
  return out;
}

std::optional<std::string> signature(const Description& description, std::string_view path) {
  std::vector<std::pair<std::string, std::string>> out;
  collect(description.exports, Names(description.imports), "", &path, out);
  return out.empty() ? std::nullopt : std::optional(std::move(out.front().second));
}

std::string world(const Description& description) {
  const Names imports(description.imports);
  const Names exports(description.exports, &imports);
  Writer writer;
  writer.externs(description.imports, imports, "import", 1);
  writer.externs(description.exports, exports, "export", 1);
  return "world root {\n" + std::move(writer).text() + "}\n";
}

}  // namespace airssys::wasm::wit
