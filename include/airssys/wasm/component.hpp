#pragma once

#include <airssys/wasm/detail/behind.hpp>
#include <airssys/wasm/error.hpp>
#include <airssys/wasm/identity.hpp>
#include <airssys/wasm/limits.hpp>
#include <airssys/wasm/type.hpp>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace airssys::wasm {

/// A function that can be called, as its path is written: `hello`, `ns:pkg/interface@1.2.3#function`.
struct FunctionExport {
  std::string path;
  FunctionType type;
};

/// The same as people read it: `func(self: borrow<counter>, by: step) -> u32`. `FunctionType` has no names of types.
struct FunctionSignature {
  std::string path;
  std::string text;
};

/// Which of the packages that a component names are part of its WIT.
enum class WitPackages : std::uint8_t {
  All,
  /// All but those of WASI, which are much and well known.
  WithoutWasi
};

/// A function that a component wants, by its name within the interface.
struct ImportedFunction {
  std::string name;
  FunctionType type;
};

/// An import as the component names it, with the functions it wants from it: those of an interface, or the one that is
/// imported by itself under the same name. None where it is a type, a resource or code.
struct ImportedItem {
  std::string name;
  std::vector<ImportedFunction> functions;
};

/// What instantiating a component needs; nothing where the component does not say.
struct RequiredResources {
  std::uint32_t memories = 0;
  std::uint32_t tables = 0;
  Bytes largest_initial_memory;
  std::uint64_t largest_initial_table = 0;
  /// Host memory of its instances: `ResourceLimits::max_instance_bytes`.
  Bytes instance_bytes{};
  /// Host memory that it keeps as long as it is loaded, beside its bytes and its compiled form. An estimate.
  Bytes metadata_bytes{};
};

/// What loading a component took.
struct LoadUsage {
  /// From the call to the handle. What it waited for a place to compile is a part of it.
  std::chrono::nanoseconds wall_time{};
  std::chrono::nanoseconds queued{};
  /// It was compiled earlier: it came from the cache, or from a file for `load_precompiled`.
  bool from_cache = false;
};

/// A loaded component: compiled code and what is known about it. Cheap to copy; all copies share one.
///
/// Threads: immutable, safe from any thread. It may outlive its engine; then nothing
/// can run it.
class ComponentHandle {
 public:
  [[nodiscard]] const ComponentId& id() const noexcept;
  [[nodiscard]] const std::string& name() const noexcept { return id().name(); }
  [[nodiscard]] const std::string& digest() const noexcept { return id().digest(); }
  [[nodiscard]] Bytes size() const noexcept;
  [[nodiscard]] std::vector<FunctionExport> functions() const;
  [[nodiscard]] std::vector<ImportedItem> imports() const;
  [[nodiscard]] std::optional<RequiredResources> required_resources() const;
  [[nodiscard]] const LoadUsage& load_usage() const noexcept;
  /// Whether WASI and the host functions that its engine had when it was loaded offer all that it imports. Errors:
  /// LinkFailed, as a run would end; HostExhausted.
  [[nodiscard]] Result<void> check_imports() const;
  /// The world and the packages it names, as WIT. A component that WIT cannot say (it exports types by themselves) and
  /// one that was loaded precompiled are shown as a world of their types, after a comment that says so.
  [[nodiscard]] std::string wit(WitPackages packages = WitPackages::All) const;
  /// The exported functions with their types by name.
  [[nodiscard]] std::vector<FunctionSignature> signatures() const;
  /// It exports `wasi:cli/run` and can be started by `WasmEngine::start_command`.
  [[nodiscard]] bool is_command() const;
  /// What did not go as it should but did no harm: the compiled component could not be kept on disk, say.
  [[nodiscard]] const std::vector<std::string>& notes() const noexcept;

 private:
  friend struct detail::Behind;
  explicit ComponentHandle(std::shared_ptr<detail::LoadedComponent> behind) noexcept : behind_(std::move(behind)) {}

  std::shared_ptr<detail::LoadedComponent> behind_;
};

/// What is known about a component as one JSON object: name, size, digest, imports, functions, what it needs, WIT.
/// `indent`: blanks for each level; -1 for one line. What steers a display is escaped.
[[nodiscard]] std::string to_json(const ComponentHandle& component, int indent = -1);

/// How a component is loaded: `engine.load_text(wat, {.name = "greeter", .principal = "tenant-7"})`.
struct LoadOptions {
  /// In reports and errors. Empty: `component`, or the file's name.
  std::string name{};
  /// In whose name: where loads wait for a place to compile, places go round by principal.
  std::string principal{};
  /// A request ends the load with Cancelled.
  std::stop_token stop{};
};

/// A component's bytes, for `WasmEngine::load_component`, from a regular file or from a descriptor (stdin, a pipe),
/// which stays open and is called `name` in errors.
///
/// Errors: LoadFailed (the file cannot be read, is no regular file, exceeds `limits.max_bytes`, or is not read within
/// `limits.timeout`), HostExhausted. Threads: any; blocks. Cancellation: `stop` ends it with Cancelled within 50 ms.
[[nodiscard]] Result<std::vector<std::uint8_t>> read_component(const std::filesystem::path& path,
                                                               const LoadLimits& limits = {},
                                                               const std::stop_token& stop = {});
[[nodiscard]] Result<std::vector<std::uint8_t>> read_component(int descriptor, std::string_view name,
                                                               const LoadLimits& limits = {},
                                                               const std::stop_token& stop = {});

}  // namespace airssys::wasm
