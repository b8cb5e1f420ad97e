#include <algorithm>
#include <deque>

#include "base/sync.hpp"
#include "fake_door/fake_calls.hpp"
#include "wasmtime/door.hpp"

/// The door of wasmtime/door.hpp without Wasmtime behind it: what the thread sanitizer sees is C++ alone. Every
/// component is the same guest: `quick` answers 42, `spin` never ends, `now` and `later` answer with what the host
/// function of that name says to 7, `often` asks `now` 300 times, `sleep` answers 42 after a millisecond, and `type`
/// waits as long at a terminal, whose time is excused, and works then.
namespace airssys::wasm::wasmtime {

namespace {

constexpr const char* kInterface = "acme:test/host@1.0.0";
constexpr std::uint64_t kFuelOfASlice = 10;
/// Slices, which the explorer stretches as it likes.
constexpr unsigned kWorkAfterTyping = 30;

/// Bytes that nobody frees.
base::Buffer borrowed(std::span<std::uint8_t> bytes) { return {bytes.data(), bytes.size(), bytes.size(), nullptr}; }

/// The door's own thread, which wakes those that sleep. As Wasmtime's, it cannot end itself.
class FakeHost final : public Host {
 public:
  FakeHost() : thread_([this] { work(); }) {}
  FakeHost(const FakeHost&) = delete;
  FakeHost& operator=(const FakeHost&) = delete;
  ~FakeHost() override {
    {
      const std::lock_guard lock(mutex_);
      over_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  void wake_soon(const std::shared_ptr<WakeTarget>& target) {
    {
      const std::lock_guard lock(mutex_);
      sleepers_.push_back({base::Clock::now() + std::chrono::milliseconds(1), target});
    }
    changed_.notify_all();
  }

 private:
  struct Sleeper {
    base::Clock::time_point until;
    std::weak_ptr<WakeTarget> who;
  };
  void work() {
    std::unique_lock lock(mutex_);
    while (!over_) {
      if (sleepers_.empty()) {
        changed_.wait(lock);
      } else if (base::Clock::now() < sleepers_.front().until) {
        changed_.wait_until(lock, sleepers_.front().until);
      } else {
        auto target = sleepers_.front().who.lock();
        sleepers_.pop_front();
        lock.unlock();
        if (target) {
          target->wake();
        }
        target.reset();
        lock.lock();
      }
    }
  }

  base::Mutex mutex_;
  base::Condition changed_;
  std::deque<Sleeper> sleepers_;
  bool over_ = false;
  base::Thread thread_;
};

enum class What : std::uint8_t { Nothing, Quick, Spin, Type, Ask, Sleep };
struct Task {
  What what = What::Nothing;
  FakeHost* host = nullptr;
  /// For Ask: which host function, and how often.
  std::uint32_t host_function = 0;
  unsigned times = 1;
};

class FakeRun final : public Run {
 public:
  FakeRun(const Budget& budget, Task task)
      : task_(task),
        cancelled_(budget.cancelled),
        ending_(budget.ending),
        fuel_(budget.limits[static_cast<std::size_t>(Limit::Fuel)]) {}
  FakeRun(const FakeRun&) = delete;
  FakeRun& operator=(const FakeRun&) = delete;
  ~FakeRun() override { calls_->withdraw(); }

  void wake_to(const std::shared_ptr<WakeTarget>& target) override {
    target_ = target;
    calls_->wake_to(target);
  }
  Poll poll(const Times& /*times*/) override {
    ++slices_;
    phase_ = RunPhase::Call;
    fuel_.fetch_sub(std::min(fuel_.load(), kFuelOfASlice));
    for (const auto* flag : {cancelled_, ending_}) {
      if (flag != nullptr && flag->load()) {
        return fail(Cause::Halted, 0);
      }
    }
    switch (task_.what) {
      case What::Nothing: return Poll::Done;
      case What::Quick: answer_ = number(42); return Poll::Done;
      case What::Spin:
        return fuel_ == 0 ? fail(Cause::Trap, static_cast<std::uint64_t>(TrapCode::OutOfFuel)) : Poll::Slice;
      case What::Sleep: return sleep(Poll::Waiting);
      case What::Type:
        if (typed_ == 0 && sleep(Poll::Terminal) != Poll::Done) {
          return target_ ? Poll::Terminal : Poll::Slice;
        }
        return ++typed_ > kWorkAfterTyping ? Poll::Done : Poll::Slice;
      case What::Ask: break;
    }
    if (!ticket_) {
      ticket_ = calls_->park(task_.host_function);
    }
    if (auto said = calls_->said(*ticket_)) {
      if (!*said) {
        return fail(Cause::HostFunction, said->error());
      }
      answer_ = std::move(**said);
      ticket_.reset();
      return ++asked_ == task_.times ? Poll::Done : Poll::Slice;
    }
    if (calls_->any_parked()) {
      return Poll::HostCall;
    }
    return calls_->has_target() ? Poll::Waiting : Poll::Slice;
  }
  std::expected<Answer, Failure> take_result() override {
    if (failure_) {
      return std::unexpected(std::move(*failure_));
    }
    Answer out;
    std::ranges::copy(answer_, out.number.begin());
    out.number_size = static_cast<std::uint8_t>(answer_.size());
    return out;
  }
  Failure cancel() noexcept override {
    calls_->withdraw();
    target_.reset();
    return {Cause::Halted, 0, false, {}, {}};
  }
  [[nodiscard]] Counters counters() const noexcept override {
    Counters out{};
    out.phase = phase_;
    out.fuel_left = fuel_;
    out.slices = slices_;
    return out;
  }
  [[nodiscard]] std::vector<Denial> denials() const override { return {}; }
  [[nodiscard]] std::shared_ptr<HostCalls> host_calls() override { return calls_; }
  void let_go() noexcept override { delete this; }
  [[nodiscard]] bool owns_store() const noexcept override { return true; }

 private:
  /// `how`: what it says while it waits.
  Poll sleep(Poll how) {
    const auto now = base::Clock::now();
    if (!until_) {
      until_ = now + std::chrono::milliseconds(1);
    }
    if (now >= *until_) {
      answer_ = number(42);
      return Poll::Done;
    }
    if (!target_) {
      return Poll::Slice;
    }
    task_.host->wake_soon(target_);
    return how;
  }
  Poll fail(Cause cause, std::uint64_t code) {
    failure_ = Failure{cause, code, true, {}, {}};
    return Poll::Done;
  }

  const Task task_;
  const std::atomic<bool>* const cancelled_;
  const std::atomic<bool>* const ending_;
  unsigned asked_ = 0, typed_ = 0;
  const std::shared_ptr<FakeCalls> calls_ = std::make_shared<FakeCalls>();
  std::optional<std::uint64_t> ticket_;
  std::shared_ptr<WakeTarget> target_;
  std::optional<base::Clock::time_point> until_;
  std::vector<std::uint8_t> answer_;
  std::optional<Failure> failure_;
  // Read by any thread.
  base::Atomic<RunPhase> phase_ = RunPhase::Link;
  base::Atomic<std::uint64_t> fuel_;
  base::Atomic<std::uint64_t> slices_ = 0;
};

class FakeFunction final : public Function {
 public:
  explicit FakeFunction(std::string function_name) : name(std::move(function_name)) {}
  [[nodiscard]] Try<base::Buffer> parse_wave(std::string_view /*arguments*/) const override { return base::Buffer(); }
  [[nodiscard]] bool takes_bytes() const noexcept override { return false; }

  const std::string name;
};

class FakePrepared final : public Prepared {
 public:
  FakePrepared(FakeHost& host, std::span<const HostFunctionName> functions)
      : host_(host), functions_(functions.begin(), functions.end()) {}
  [[nodiscard]] bool needs_wasi() const noexcept override { return false; }
  [[nodiscard]] Try<RunPtr> call(const Grants* /*grants*/, const Budget& budget, const Function& function,
                                 const Arguments& /*arguments*/) const override {
    return RunPtr(new FakeRun(budget, task(function)));
  }
  [[nodiscard]] Try<std::unique_ptr<Store>> store(const Grants* grants) const override;

 private:
  [[nodiscard]] Task task(const Function& function) const {
    const auto& name = dynamic_cast<const FakeFunction&>(function).name;
    if (name == "sleep" || name == "type") {
      return {name == "sleep" ? What::Sleep : What::Type, &host_};
    }
    if (name == "quick" || name == "spin") {
      return {name == "quick" ? What::Quick : What::Spin};
    }
    const bool often = name == "often";
    const auto at = std::ranges::find(functions_, often ? "now" : name, &HostFunctionName::name);
    return {What::Ask, nullptr, static_cast<std::uint32_t>(at - functions_.begin()), often ? 300U : 1U};
  }

  FakeHost& host_;
  std::vector<HostFunctionName> functions_;
};

class FakeStore final : public Store {
 public:
  explicit FakeStore(const FakePrepared& prepared) : prepared_(prepared) {}
  [[nodiscard]] Try<RunPtr> instantiate(const Budget& budget) override { return RunPtr(new FakeRun(budget, {})); }
  [[nodiscard]] Try<RunPtr> call(const Budget& budget, const Function& function, const Arguments& arguments) override {
    return prepared_.call(nullptr, budget, function, arguments);
  }
  [[nodiscard]] Try<RunPtr> drop_handle(const Budget& budget, std::uint64_t /*handle*/) override {
    return RunPtr(new FakeRun(budget, {}));
  }

 private:
  const FakePrepared& prepared_;
};

Try<std::unique_ptr<Store>> FakePrepared::store(const Grants* /*grants*/) const {
  return std::make_unique<FakeStore>(*this);
}

class FakeComponent final : public Component {
 public:
  explicit FakeComponent(std::shared_ptr<FakeHost> host) : host_(std::move(host)) {}
  [[nodiscard]] std::optional<RequiredResources> required() const override { return RequiredResources{}; }
  [[nodiscard]] Try<wit::Description> describe(std::uint64_t /*nodes_max*/, std::uint64_t /*depth_max*/,
                                               wit::NamedTypes /*named*/) const override {
    const Type u32{Type::Kind::U32, {}, 0};
    const auto function = [&](const char* name, bool asks) {
      wit::Extern out{name, {}};
      out.item.function.result = u32;
      if (asks) {
        out.item.function.parameters.push_back({"n", u32});
      }
      return out;
    };
    wit::Extern host{kInterface, {}};
    host.item.kind = wit::Item::Kind::Instance;
    host.item.instance = {function("now", true), function("later", true)};
    return wit::Description{
        {std::move(host)},
        {function("quick", false), function("spin", false), function("now", false), function("later", false),
         function("often", false), function("sleep", false), function("type", false)}};
  }
  [[nodiscard]] Try<std::unique_ptr<Function>> function(std::span<const std::string> path) const override {
    return std::make_unique<FakeFunction>(path.back());
  }
  [[nodiscard]] Try<std::unique_ptr<Prepared>> prepare(std::span<const HostFunctionName> functions,
                                                       bool /*between_components*/) const override {
    return std::make_unique<FakePrepared>(*host_, functions);
  }

 private:
  const std::shared_ptr<FakeHost> host_;
};

class FakeEngine final : public Engine {
 public:
  explicit FakeEngine(std::shared_ptr<FakeHost> its_host) : host(std::move(its_host)) {}
  void tick() noexcept override {}

  const std::shared_ptr<FakeHost> host;
};

std::array<std::uint8_t, 8> preamble = {0, 'a', 's', 'm', 0x0d, 0, 1, 0};

}  // namespace

Try<std::shared_ptr<Host>> Host::start(unsigned /*workers*/, unsigned /*blocking_threads*/,
                                       std::shared_ptr<ledger::Account> /*account*/) {
  return std::make_shared<FakeHost>();
}
Try<std::shared_ptr<Engine>> Engine::make(const std::shared_ptr<Host>& host, const Settings& /*settings*/) {
  return std::make_shared<FakeEngine>(std::dynamic_pointer_cast<FakeHost>(host));
}
Try<std::shared_ptr<Component>> Component::load(const std::shared_ptr<Engine>& engine, const std::string& /*path*/) {
  return std::make_shared<FakeComponent>(dynamic_cast<FakeEngine&>(*engine).host);
}
Try<Scan> prescan(std::span<const std::uint8_t> /*bytes*/, const ScanFigures& /*limits*/,
                  const ScanPatience& /*patience*/) {
  return Scan{};
}
std::uint64_t stack_bytes(const Settings& settings) noexcept { return settings.wasm_stack_bytes; }
Try<base::Buffer> compile(const Settings& /*settings*/, std::span<const std::uint8_t> /*bytes*/) {
  return borrowed(preamble);
}
Try<base::Buffer> wat_to_bytes(std::string_view /*text*/) { return borrowed(preamble); }
Try<std::string> wave(std::span<const std::uint8_t> /*value*/) { return std::string(); }
Try<std::string> wit_text(std::span<const std::uint8_t> /*bytes*/, bool /*with_wasi*/) { return std::string(); }
bool is_wasi(std::string_view /*import*/) { return false; }

std::shared_ptr<Output> Output::make(std::uint32_t /*capacity*/) { return nullptr; }

}  // namespace airssys::wasm::wasmtime
