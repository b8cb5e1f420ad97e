#include "ledger/ledger.hpp"

#include <algorithm>
#include <cstddef>
#include <new>

#include "ledger/capacity.hpp"

namespace airssys::wasm {

namespace ledger {

namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

/// Of its capacity, what growth leaves for those that want to begin.
constexpr std::uint64_t kKeptPart = 8;

std::uint64_t saturating(std::uint64_t a, std::uint64_t b) noexcept {
  std::uint64_t sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

/// The ledger of this process. Never destroyed: threads that a kernel does not give back may outlive every object.
struct Process {
  Tallies tallies;
  base::Mutex mutex;
  unsigned accounts = 0;

  static Process& get() noexcept {
    alignas(Process) static std::array<std::byte, sizeof(Process)> room;
    static auto* const process = new (room.data()) Process;
    return *process;
  }
};

bool has(const Tally& tally, std::uint64_t n, std::uint64_t leave) noexcept {
  const auto there = tally.capacity.load(kRelaxed), used = tally.used.load(kRelaxed);
  const auto most = there - std::min(there, leave);
  return used <= most && n <= most - used;
}

void set_capacity(Tally& tally, std::uint64_t capacity) noexcept {
  tally.capacity.store(capacity, kRelaxed);
  tally.kept.store(capacity / kKeptPart, kRelaxed);
}

ResourceAccounts rows(const Tallies& tallies) noexcept {
  const auto row = [&](Kind kind) { return tallies.at(static_cast<std::size_t>(kind)).figures(); };
  return {row(Kind::Memory), row(Kind::Mappings), row(Kind::AddressSpace), row(Kind::FileDescriptors),
          row(Kind::Threads)};
}

}  // namespace

Amounts& Amounts::operator+=(const Amounts& more) noexcept {
  for (std::size_t i = 0; i < kKinds; ++i) {
    of.at(i) = saturating(of.at(i), more.of.at(i));
  }
  return *this;
}

Amounts Amounts::times(std::uint64_t n) const noexcept {
  Amounts out;
  for (std::size_t i = 0; i < kKinds; ++i) {
    if (__builtin_mul_overflow(of.at(i), n, &out.of.at(i))) {
      out.of.at(i) = UINT64_MAX;
    }
  }
  return out;
}

bool Tally::take(std::uint64_t n, std::uint64_t leave) noexcept {
  auto now = used.load(kRelaxed);
  do {
    const auto there = capacity.load(kRelaxed);
    const auto most = there - std::min(there, leave);
    if (now > most || n > most - now) {
      return false;
    }
  } while (!used.compare_exchange_weak(now, now + n, kRelaxed));
  auto highest = peak.load(kRelaxed);
  while (now + n > highest && !peak.compare_exchange_weak(highest, now + n, kRelaxed)) {
  }
  return true;
}

ResourceAccount Tally::figures() const noexcept {
  return {capacity.load(kRelaxed), used.load(kRelaxed), peak.load(kRelaxed), refused.load(kRelaxed)};
}

Account::Account(Tallies& process, const HostShares& shares) : process_(process) {
  const std::array<std::optional<std::uint64_t>, kOfTheProcess> wanted = {
      shares.memory ? std::optional(shares.memory->count) : std::nullopt, shares.mappings,
      shares.address_space ? std::optional(shares.address_space->count) : std::nullopt, shares.file_descriptors,
      shares.threads};
  for (std::size_t i = 0; i < kOfTheProcess; ++i) {
    const auto there = process.at(i).capacity.load(kRelaxed);
    set_capacity(own_.at(i), std::min(wanted.at(i).value_or(there), there));
  }
}

Account::Listed::Listed() {
  auto& process = Process::get();
  const std::lock_guard lock(process.mutex);
  if (process.accounts == 0) {
    const auto capacity = measure_capacity(System{});
    for (std::size_t i = 0; i < kOfTheProcess; ++i) {
      auto& tally = process.tallies.at(i);
      // What threads keep that the kernel has not given back is taken already.
      const auto used = tally.used.load(kRelaxed);
      set_capacity(tally, saturating(capacity.of.at(i), used));
      tally.peak.store(used, kRelaxed);
    }
  }
  ++process.accounts;
}

Account::Listed::~Listed() {
  auto& process = Process::get();
  const std::lock_guard lock(process.mutex);
  --process.accounts;
}

std::shared_ptr<Account> Account::open(const HostShares& shares) {
  auto listed = std::make_unique<Listed>();
  std::shared_ptr<Account> account(new Account(Process::get().tallies, shares));
  account->listed_ = std::move(listed);
  return account;
}

std::shared_ptr<Account> Account::simulated(const Amounts& capacity) {
  auto tallies = std::make_unique<Tallies>();
  for (std::size_t i = 0; i < kOfTheProcess; ++i) {
    set_capacity(tallies->at(i), capacity.of.at(i));
  }
  std::shared_ptr<Account> account(new Account(*tallies, {}));
  account->simulated_ = std::move(tallies);
  return account;
}

std::optional<Shortage> Account::short_of(const Tally& tally, Kind kind, std::uint64_t n) const noexcept {
  const auto i = static_cast<std::size_t>(kind);
  const auto capacity = tally.capacity.load(kRelaxed);
  return Shortage{kind, n, tally.used.load(kRelaxed), capacity,
                  i < kOfTheProcess && capacity < process_.at(i).capacity.load(kRelaxed)};
}

std::optional<Shortage> Account::take(const Amounts& amounts, Look look) noexcept { return take(amounts, false, look); }
std::optional<Shortage> Account::admit(const Amounts& amounts, Look look) noexcept { return take(amounts, true, look); }

std::optional<Shortage> Account::take(const Amounts& amounts, bool leave_descriptors, Look look) noexcept {
  const auto leave = [&](std::size_t i, const Tally& tally) {
    return leave_descriptors && static_cast<Kind>(i) == Kind::FileDescriptors ? tally.kept.load(kRelaxed) : 0;
  };
  const auto shortage = [&](std::size_t i, Tally& tally) {
    tally.refused.fetch_add(look == Look::First ? 1 : 0, kRelaxed);
    auto out = short_of(tally, static_cast<Kind>(i), amounts.of.at(i));
    out->capacity -= std::min(out->capacity, leave(i, tally));
    return out;
  };
  // First without taking anything: what is given back at once would be missing to others for a moment.
  for (std::size_t i = 0; i < kKinds; ++i) {
    const auto n = amounts.of.at(i);
    for (auto* tally : {&own_.at(i), i < kOfTheProcess ? &process_.at(i) : &own_.at(i)}) {
      if (n > 0 && !has(*tally, n, leave(i, *tally))) {
        return shortage(i, *tally);
      }
    }
  }
  for (std::size_t i = 0; i < kKinds; ++i) {
    const auto n = amounts.of.at(i);
    if (n == 0) {
      continue;
    }
    std::optional<Shortage> lacking;
    if (!own_.at(i).take(n, leave(i, own_.at(i)))) {
      lacking = shortage(i, own_.at(i));
    } else if (i < kOfTheProcess && !process_.at(i).take(n, leave(i, process_.at(i)))) {
      own_.at(i).give_back(n);
      lacking = shortage(i, process_.at(i));
    }
    if (lacking) {
      Amounts taken = amounts;
      std::fill(taken.of.begin() + static_cast<std::ptrdiff_t>(i), taken.of.end(), 0);
      give_back(taken);
      return lacking;
    }
  }
  return {};
}

std::optional<Shortage> Account::grow(Kind kind, std::uint64_t n) noexcept {
  const auto i = static_cast<std::size_t>(kind);
  auto& own = own_.at(i);
  auto& process = process_.at(i);
  const auto shortage = [&](Tally& tally) {
    tally.refused.fetch_add(1, kRelaxed);
    auto out = short_of(tally, kind, n);
    out->capacity -= std::min(out->capacity, tally.kept.load(kRelaxed));
    return out;
  };
  if (!own.take(n, own.kept.load(kRelaxed))) {
    return shortage(own);
  }
  if (i < kOfTheProcess && !process.take(n, process.kept.load(kRelaxed))) {
    own.give_back(n);
    return shortage(process);
  }
  return {};
}

void Account::give_back(const Amounts& amounts) noexcept {
  for (std::size_t i = 0; i < kKinds; ++i) {
    if (const auto n = amounts.of.at(i); n > 0) {
      own_.at(i).give_back(n);
      if (i < kOfTheProcess) {
        process_.at(i).give_back(n);
      }
    }
  }
}

std::optional<Shortage> Account::never_fits(const Amounts& amounts) const noexcept {
  for (std::size_t i = 0; i < kKinds; ++i) {
    const auto kept = static_cast<Kind>(i) == Kind::FileDescriptors ? own_.at(i).kept.load(kRelaxed) : 0;
    const auto most = own_.at(i).capacity.load(kRelaxed) - kept;
    if (const auto n = amounts.of.at(i); n > most) {
      auto shortage = short_of(own_.at(i), static_cast<Kind>(i), n);
      shortage->capacity = most;
      return shortage;
    }
  }
  return {};
}

void Account::add_capacity(Kind kind, std::uint64_t more) noexcept {
  own_.at(static_cast<std::size_t>(kind)).capacity.fetch_add(more, kRelaxed);
}

ResourceAccounts Account::figures() const noexcept { return rows(own_); }
ResourceAccounts Account::process_figures() const noexcept { return rows(process_); }

}  // namespace ledger

}  // namespace airssys::wasm
