#pragma once

#include <airssys/wasm/component.hpp>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/sync.hpp"
#include "host/host_functions.hpp"
#include "ledger/ledger.hpp"
#include "wasmtime/costs.hpp"
#include "wasmtime/door.hpp"

namespace airssys::wasm::load {

/// An exported function, ready to be called.
struct CallableFunction {
  std::unique_ptr<wasmtime::Function> function;
  FunctionType type;
};

/// A compiled component and what it imports and exports.
struct DescribedComponent {
  std::shared_ptr<wasmtime::Component> component;
  /// The pool that it is in, if any.
  std::optional<ledger::Kind> pool;
  wit::Description description;
  /// What it has taken of the process.
  ledger::Reservation taken;
};

/// A loaded component with what is made from it once and kept: its linked form, its functions.
///
/// Threads: safe from any thread; what is made lazily is made once.
class LoadedComponent {
 public:
  struct Identity {
    ComponentId id;
    std::uint64_t size = 0;
    /// Kept for the WIT text; empty for a precompiled component.
    std::vector<std::uint8_t> bytes;
    /// It may hold components, or streams of its own: values go from one to the other without a call of the host.
    bool between_components = true;
    /// Of the engine that loaded it.
    std::shared_ptr<const wasmtime::Host> owner;
    /// What a run of it takes of the process.
    wasmtime::RunCost cost{};
    LoadUsage load{};
  };
  LoadedComponent(Identity identity, DescribedComponent component, host::HostEntries host,
                  std::vector<std::string> notes);
  LoadedComponent(const LoadedComponent&) = delete;
  LoadedComponent& operator=(const LoadedComponent&) = delete;
  ~LoadedComponent() = default;

  [[nodiscard]] const ComponentId& id() const noexcept { return identity_.id; }
  [[nodiscard]] std::uint64_t size() const noexcept { return identity_.size; }
  [[nodiscard]] const std::vector<std::string>& notes() const noexcept { return notes_; }
  [[nodiscard]] const host::HostEntries& host() const noexcept { return host_; }
  [[nodiscard]] const wasmtime::Component& component() const noexcept { return *component_; }

  [[nodiscard]] const wasmtime::RunCost& cost() const noexcept { return identity_.cost; }
  [[nodiscard]] const LoadUsage& load() const noexcept { return identity_.load; }
  [[nodiscard]] const wasmtime::Host* owner() const noexcept { return identity_.owner.get(); }

  [[nodiscard]] std::string wit(WitPackages packages) const;
  [[nodiscard]] std::vector<FunctionSignature> signatures() const;
  [[nodiscard]] const wit::Description& description() const noexcept { return description_; }
  /// Links the imports. LinkFailed names those that nobody offers.
  [[nodiscard]] Result<const wasmtime::Prepared*> prepared() const;
  /// `hello`, `ns:pkg/interface@1.2.3#function`, `outer#inner#function`. BadCall names what is nearest.
  [[nodiscard]] Result<const CallableFunction*> function(std::string_view path) const;
  /// The `run` of `wasi:cli/run`, in whatever 0.2 version it is exported; empty when it is no command.
  [[nodiscard]] std::string command_path() const;
  /// The type of a host function as this component imports it.
  [[nodiscard]] const FunctionType* imported(std::uint32_t host_function) const;

  [[nodiscard]] static std::vector<FunctionExport> exported_functions(const wit::Externs& externs);

 private:
  [[nodiscard]] wit::Description with_named_types() const;
  [[nodiscard]] std::string signature(std::string_view path, const FunctionType& type) const;

  const Identity identity_;
  const ledger::Reservation taken_;
  const std::shared_ptr<wasmtime::Component> component_;
  const wit::Description description_;
  const host::HostEntries host_;
  const std::vector<std::string> notes_;
  /// By host function: null where this component does not import it.
  const std::vector<const FunctionType*> imported_;

  mutable base::Mutex mutex_;
  mutable std::optional<Result<std::unique_ptr<wasmtime::Prepared>>> prepared_;
  /// What `prepared_` holds once it is there, for callers that come often.
  mutable base::Atomic<const wasmtime::Prepared*> ready_ = nullptr;
  using Functions = std::map<std::string, CallableFunction, std::less<>>;
  /// Entries stay for life.
  mutable Functions functions_;
  /// The one asked for last, without the lock.
  mutable base::Atomic<const Functions::value_type*> last_function_ = nullptr;
};

}  // namespace airssys::wasm::load
