#pragma once

#include <airssys/wasm/component.hpp>
#include <array>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "wasmtime/footprint.hpp"
#include "wasmtime/output.hpp"
#include "wasmtime/run.hpp"
#include "wit/codec.hpp"

/// What Wasmtime offers this house: engines, compiled components, prepared components, runs.
namespace airssys::wasm::wasmtime {

template <class T>
using Try = std::expected<T, Failure>;

/// Settings that make one engine differ from another. Meter and concurrency change compiled code.
struct Settings {
  bool fuel = true;
  bool concurrency = false;
  /// Runs that the pool has room for: as many stacks, twice as many memories, and a few spare ones. 0: no pool.
  std::uint32_t pool_slots = 0;
  std::uint32_t pool_spare = 0;
  /// For guests with large memories: each is given back to the kernel at once, those of small ones some at a time.
  bool large = false;
  std::uint64_t wasm_stack_bytes = 512U << 10U;

  friend bool operator==(const Settings&, const Settings&) = default;
};

/// One table slot of the pool holds this many elements, one component this many tables and memories; what needs more
/// runs outside the pool.
inline constexpr std::uint32_t kPoolTableElements = 20'000;
inline constexpr std::uint32_t kPoolTablesPerComponent = 8;
inline constexpr std::uint32_t kPoolMemoriesPerComponent = 8;
inline constexpr std::uint32_t kPoolMemoriesPerSlot = 2;
inline constexpr std::uint64_t kPoolMemoryBytes = 1ULL << 32U;
/// Freed memories and stacks that the pool of small guests gives back to the kernel at once, and the least of its spare
/// slots: what a thread is just giving back is missing to a run that has a place, so there is enough for 16 threads
/// that do, and for all workers.
inline constexpr std::uint32_t kPoolDecommitBatch = 8, kPoolSpareLeast = 16 * kPoolDecommitBatch;

/// Of a pool with these settings, the spare ones among them.
[[nodiscard]] constexpr std::uint32_t pool_stacks(const Settings& settings) noexcept {
  return settings.pool_slots + settings.pool_spare;
}
[[nodiscard]] constexpr std::uint32_t pool_memories(const Settings& settings) noexcept {
  return settings.pool_slots * kPoolMemoriesPerSlot + settings.pool_spare;
}

/// The stack of a run: the guest's part, and on top of it that of the host's functions.
[[nodiscard]] std::uint64_t stack_bytes(const Settings& settings) noexcept;

/// tokio's threads. Made once, before any limit is set on the process.
class Host {
 public:
  [[nodiscard]] static Try<std::shared_ptr<Host>> start(unsigned workers, unsigned blocking_threads,
                                                        std::shared_ptr<ledger::Account> account);
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;
  virtual ~Host() = default;

 protected:
  Host() = default;
};

class Engine {
 public:
  [[nodiscard]] static Try<std::shared_ptr<Engine>> make(const std::shared_ptr<Host>& host, const Settings& settings);
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  virtual ~Engine() = default;
  /// Ends the slices of runs that are metered by epochs. Any thread.
  virtual void tick() noexcept = 0;

 protected:
  Engine() = default;
};

/// An exported function, found once.
class Function {
 public:
  Function() = default;
  Function(const Function&) = delete;
  Function& operator=(const Function&) = delete;
  virtual ~Function() = default;
  /// `(1, "x")` as encoded values. Cause Text: `code` is the offset into `arguments`.
  [[nodiscard]] virtual Try<base::Buffer> parse_wave(std::string_view arguments) const = 0;
  /// It takes its arguments as plain bytes: up to two parameters among string and list<u8>, and a result of such a
  /// kind.
  [[nodiscard]] virtual bool takes_bytes() const noexcept = 0;
};

/// The arguments of a call, borrowed until its run is gone: encoded, or plain for a function that takes bytes.
struct Arguments {
  std::span<const std::uint8_t> encoded;
  std::array<std::span<const std::uint8_t>, 2> plain{};
  bool is_plain = false;
};

struct HostFunctionName {
  std::string interface;
  std::string name;
};

/// What a store is made with: what its runs may touch, and where their output goes. Borrowed for the call that makes
/// it.
struct Grants {
  bridge::BridgeGrants raw{};
  std::shared_ptr<Output> output;
  Streams written;
};

/// One store whose operations follow one another: an instance that keeps its state. After an operation that did not
/// return, it can only be freed.
///
/// Threads: one operation at a time, which is let go before the store is freed.
class Store {
 public:
  Store() = default;
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;
  virtual ~Store() = default;
  [[nodiscard]] virtual Try<RunPtr> instantiate(const Budget& budget) = 0;
  /// `function` and `arguments` outlive the run.
  [[nodiscard]] virtual Try<RunPtr> call(const Budget& budget, const Function& function,
                                         const Arguments& arguments) = 0;
  /// Drops a handle that the guest handed out; its destructor is guest code.
  [[nodiscard]] virtual Try<RunPtr> drop_handle(const Budget& budget, std::uint64_t handle) = 0;
};

/// A component with its imports linked: makes runs.
class Prepared {
 public:
  Prepared() = default;
  Prepared(const Prepared&) = delete;
  Prepared& operator=(const Prepared&) = delete;
  virtual ~Prepared() = default;
  [[nodiscard]] virtual bool needs_wasi() const noexcept = 0;
  /// A fresh store in which `function` will be called once. `function` and `arguments` outlive the run.
  [[nodiscard]] virtual Try<RunPtr> call(const Grants* grants, const Budget& budget, const Function& function,
                                         const Arguments& arguments) const = 0;
  /// A store for many operations.
  [[nodiscard]] virtual Try<std::unique_ptr<Store>> store(const Grants* grants) const = 0;
};

class Component {
 public:
  /// Maps the artefact at `path`, which is trusted native code.
  [[nodiscard]] static Try<std::shared_ptr<Component>> load(const std::shared_ptr<Engine>& engine,
                                                            const std::string& path);
  Component(const Component&) = delete;
  Component& operator=(const Component&) = delete;
  virtual ~Component() = default;
  [[nodiscard]] virtual std::optional<RequiredResources> required() const = 0;
  [[nodiscard]] virtual Try<wit::Description> describe(std::uint64_t nodes_max, std::uint64_t depth_max,
                                                       wit::NamedTypes named) const = 0;
  /// `path`: names from the outermost instance to the function.
  [[nodiscard]] virtual Try<std::unique_ptr<Function>> function(std::span<const std::string> path) const = 0;
  /// `between_components`: values may go from one place in it to another without a call of the host.
  [[nodiscard]] virtual Try<std::unique_ptr<Prepared>> prepare(std::span<const HostFunctionName> functions,
                                                               bool between_components) const = 0;

 protected:
  Component() = default;
};

/// What a pre-scan counts, as limits and as figures.
using ScanFigures = bridge::BridgeScan;
struct Scan {
  ScanFigures figures{};
  Footprint footprint{};
};
/// How long a scan may go on: until a `std::chrono::steady_clock` time in nanoseconds, or until the flag is true.
struct ScanPatience {
  std::uint64_t deadline_ns = 0;
  const std::atomic<bool>* cancelled = nullptr;
};
/// Cause LoadLimit: the code is the figure. Deadline or Halted when it took too long.
[[nodiscard]] Try<Scan> prescan(std::span<const std::uint8_t> bytes, const ScanFigures& limits,
                                const ScanPatience& patience);
/// Compiles in this process. Trusted bytes or a process with limits only.
[[nodiscard]] Try<base::Buffer> compile(const Settings& settings, std::span<const std::uint8_t> bytes);
[[nodiscard]] Try<base::Buffer> wat_to_bytes(std::string_view text);
[[nodiscard]] Try<std::string> wave(std::span<const std::uint8_t> value);
/// `with_wasi`: also the packages of WASI that it names.
[[nodiscard]] Try<std::string> wit_text(std::span<const std::uint8_t> bytes, bool with_wasi);
/// Whether WASI 0.2 has this import.
[[nodiscard]] bool is_wasi(std::string_view import);

}  // namespace airssys::wasm::wasmtime
