#pragma once

#include <airssys/wasm/config.hpp>
#include <airssys/wasm/statistics.hpp>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "base/sync.hpp"

/// What the process has a finite amount of: how much there is, and who has taken what. Nothing is taken from the kernel
/// for a guest before it is taken here, so the kernel is never asked for what it does not have.
namespace airssys::wasm::ledger {

/// The first five are those of `HostResource`; the rest belong to one engine.
enum class Kind : std::uint8_t {
  Memory,
  Mappings,
  AddressSpace,
  FileDescriptors,
  Threads,
  /// Memory slots of the engine's pools beyond the one that each place owns.
  PoolMemories,
  LargePoolMemories
};
inline constexpr std::size_t kKinds = 7, kOfTheProcess = 5;

/// An amount of each kind.
struct Amounts {
  std::array<std::uint64_t, kKinds> of{};

  [[nodiscard]] std::uint64_t& operator[](Kind kind) { return of.at(static_cast<std::size_t>(kind)); }
  [[nodiscard]] std::uint64_t operator[](Kind kind) const { return of.at(static_cast<std::size_t>(kind)); }
  [[nodiscard]] bool none() const noexcept { return of == std::array<std::uint64_t, kKinds>{}; }
  Amounts& operator+=(const Amounts& more) noexcept;
  [[nodiscard]] Amounts times(std::uint64_t n) const noexcept;
  friend Amounts operator+(Amounts a, const Amounts& b) noexcept { return a += b; }
  friend bool operator==(const Amounts&, const Amounts&) = default;
};

/// One kind: how much there is, how much of it is taken. The bridge charges what grows by the same fields (its
/// `BridgeTally`). Each field is a figure of its own, so relaxed order is enough.
struct Tally {
  base::Atomic<std::uint64_t> capacity = 0;
  base::Atomic<std::uint64_t> used = 0;
  base::Atomic<std::uint64_t> peak = 0;
  base::Atomic<std::uint64_t> refused = 0;
  /// Of the capacity, what growing runs leave for those that want to begin.
  base::Atomic<std::uint64_t> kept = 0;

  /// False when there is not so much left; `used` is then as it was, and that is not counted yet as a refusal.
  [[nodiscard]] bool take(std::uint64_t n, std::uint64_t leave = 0) noexcept;
  void give_back(std::uint64_t n) noexcept { used.fetch_sub(n, std::memory_order_relaxed); }
  [[nodiscard]] ResourceAccount figures() const noexcept;
};
using Tallies = std::array<Tally, kKinds>;

/// Why something could not be taken.
struct Shortage {
  Kind kind = Kind::Memory;
  std::uint64_t needed = 0, used = 0, capacity = 0;
  /// The engine's share was too small, not the process.
  bool by_share = false;
  /// It would not fit either if nothing else were taken.
  [[nodiscard]] bool for_ever() const noexcept { return needed > capacity; }
};

/// Whoever waits looks again and again, and is refused once.
enum class Look : std::uint8_t { First, Again };

/// What one engine may take, and has taken, of the process.
///
/// Threads: safe from any thread.
class Account {
 public:
  /// Of the process that this is. The first account of a process measures what it has (ledger/capacity.hpp).
  [[nodiscard]] static std::shared_ptr<Account> open(const HostShares& shares);
  /// For tests: of a process that has `capacity`.
  [[nodiscard]] static std::shared_ptr<Account> simulated(const Amounts& capacity);
  Account(const Account&) = delete;
  Account& operator=(const Account&) = delete;
  ~Account() = default;

  /// All of it or nothing.
  [[nodiscard]] std::optional<Shortage> take(const Amounts& amounts, Look look = Look::First) noexcept;
  /// The same for a run that wants to begin: leaves the descriptors that threads for its files may still need.
  [[nodiscard]] std::optional<Shortage> admit(const Amounts& amounts, Look look = Look::First) noexcept;
  void give_back(const Amounts& amounts) noexcept;
  /// For what has begun: leaves what is kept for those that want to begin.
  [[nodiscard]] std::optional<Shortage> grow(Kind kind, std::uint64_t n) noexcept;
  /// The kind that a run would be short of even if nothing were taken.
  [[nodiscard]] std::optional<Shortage> never_fits(const Amounts& amounts) const noexcept;
  /// There is more of it from now on: slots of a pool that was made.
  void add_capacity(Kind kind, std::uint64_t more) noexcept;

  [[nodiscard]] ResourceAccounts figures() const noexcept;
  [[nodiscard]] ResourceAccounts process_figures() const noexcept;
  /// For the bridge, which charges what grows. Those of the process live as long as the process.
  [[nodiscard]] Tallies& tallies() noexcept { return own_; }
  [[nodiscard]] Tallies& process() noexcept { return process_; }

 private:
  /// Counts the accounts of the process.
  class Listed {
   public:
    Listed();
    Listed(const Listed&) = delete;
    Listed& operator=(const Listed&) = delete;
    ~Listed();
  };
  Account(Tallies& process, const HostShares& shares);
  [[nodiscard]] std::optional<Shortage> take(const Amounts& amounts, bool leave_descriptors, Look look) noexcept;
  [[nodiscard]] std::optional<Shortage> short_of(const Tally& tally, Kind kind, std::uint64_t n) const noexcept;

  /// Of a simulated process: its tallies.
  std::unique_ptr<Tallies> simulated_;
  /// Of the process that this is.
  std::unique_ptr<Listed> listed_;
  Tallies& process_;
  Tallies own_;
};

/// Something taken, given back when this goes.
class Reservation {
 public:
  Reservation() = default;
  /// Takes over what was taken of `account`.
  Reservation(std::shared_ptr<Account> account, const Amounts& amounts) noexcept
      : account_(std::move(account)), amounts_(amounts) {}
  Reservation(Reservation&& other) noexcept
      : account_(std::exchange(other.account_, nullptr)), amounts_(other.amounts_) {}
  Reservation& operator=(Reservation&& other) noexcept {
    std::swap(account_, other.account_);
    std::swap(amounts_, other.amounts_);
    return *this;
  }
  Reservation(const Reservation&) = delete;
  Reservation& operator=(const Reservation&) = delete;
  ~Reservation() {
    if (account_) {
      account_->give_back(amounts_);
    }
  }

 private:
  std::shared_ptr<Account> account_;
  Amounts amounts_;
};

}  // namespace airssys::wasm::ledger
