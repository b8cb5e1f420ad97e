#include <airssys/wasm/encoding.hpp>
#include <new>
#include <utility>

#include "wasmtime/bridged.hpp"

/// The door's runs: what a component with its imports linked makes.
namespace airssys::wasm::wasmtime {

namespace {

class BridgedCalls final : public HostCalls {
 public:
  explicit BridgedCalls(CallsHandle handle) : handle_(std::move(handle)) {}
  std::optional<ParkedCall> next() override {
    bridge::BridgeHostCall call{};
    if (!bridge::bridge_calls_next(handle_.get(), &call)) {
      return {};
    }
    return ParkedCall{call.function, call.ticket, take(call.arguments)};
  }
  [[nodiscard]] bool waits(std::uint64_t ticket) const override {
    return bridge::bridge_calls_waits(handle_.get(), ticket);
  }
  bool answer(std::uint64_t ticket, std::span<const std::uint8_t> results) override {
    return bridge::bridge_calls_answer(handle_.get(), ticket, true, 0, slice(results));
  }
  bool refuse(std::uint64_t ticket, std::uint64_t code, std::string_view message) override {
    return bridge::bridge_calls_answer(handle_.get(), ticket, false, code, slice(message));
  }

 private:
  CallsHandle handle_;
};

/// The operation under way in a bridge run that somebody else owns or that the derived class owns.
class BridgedRun : public Run {
 public:
  explicit BridgedRun(bridge::BridgeRun* raw) : raw_(raw) {}

  void wake_to(const std::shared_ptr<WakeTarget>& target) final {
    WakeTarget::hold(target);
    bridge::bridge_run_wake_to(raw_, {.data = target.get(),
                                      .wake = [](void* data) { static_cast<WakeTarget*>(data)->wake(); },
                                      .release = [](void* data) { static_cast<WakeTarget*>(data)->let_go(); }});
    aimed_ = true;
  }
  Poll poll(const Times& times) final {
    const auto polled = bridge::bridge_run_poll(raw_, times);
    over_ = polled == Poll::Done;
    return polled;
  }
  Try<Answer> take_result() final {
    bridge::BridgeAnswer answer{};
    OutFailure failure;
    if (!bridge::bridge_run_result(raw_, &answer, failure)) {
      return std::unexpected(failure.take());
    }
    return Answer{take(answer.head), take(answer.payload), std::to_array(answer.number.bytes), answer.number.size};
  }
  Failure cancel() noexcept final {
    OutFailure failure;
    bridge::bridge_run_cancel(raw_, failure);
    over_ = true;
    try {
      return failure.take();
    } catch (const std::bad_alloc&) {
      return {Cause::Halted, 0, false, {}, {}};
    }
  }
  [[nodiscard]] Counters counters() const noexcept final {
    Counters out{};
    bridge::bridge_run_usage(raw_, &out);
    return out;
  }
  [[nodiscard]] std::vector<Denial> denials() const final {
    bridge::BridgeBytes out{};
    bridge::bridge_run_denials(raw_, &out);
    const auto bytes = take(out);
    encoding::Reader in(bytes.bytes());
    std::vector<Denial> all(in.count());
    for (auto& denial : all) {
      denial.capability = static_cast<Capability>(in.number<std::uint32_t>());
      denial.target = in.text();
      denial.count = in.number<std::uint64_t>();
    }
    return all;
  }
  [[nodiscard]] std::shared_ptr<HostCalls> host_calls() final {
    if (!calls_) {
      calls_ = std::make_shared<BridgedCalls>(CallsHandle(bridge::bridge_run_calls(raw_)));
    }
    return calls_;
  }

 protected:
  void begin_again() noexcept { over_ = false; }
  /// Ends what is still going on, and forgets who was to be woken.
  void end() noexcept {
    if (!over_) {
      cancel();
    }
    if (std::exchange(aimed_, false)) {
      bridge::bridge_run_wake_nobody(raw_);
    }
  }

 private:
  bridge::BridgeRun* raw_;
  std::shared_ptr<HostCalls> calls_;
  bool over_ = true;
  bool aimed_ = false;
};

/// A store with one operation in it.
class FreshRun final : public BridgedRun {
 public:
  explicit FreshRun(RunHandle handle) : BridgedRun(handle.get()), handle_(std::move(handle)) {}
  void let_go() noexcept override { delete this; }
  [[nodiscard]] bool owns_store() const noexcept override { return true; }

 private:
  RunHandle handle_;
};

class BridgedStore final : public Store {
 public:
  explicit BridgedStore(RunHandle owned) : handle_(std::move(owned)), operation_(handle_.get()) {}

  Try<RunPtr> instantiate(const Budget& budget) override;
  Try<RunPtr> call(const Budget& budget, const Function& function, const Arguments& arguments) override;
  Try<RunPtr> drop_handle(const Budget& budget, std::uint64_t number) override;

 private:
  /// The operation under way. Let go before its end, it takes the store's memory with it.
  class Current final : public BridgedRun {
   public:
    using BridgedRun::begin_again;
    using BridgedRun::BridgedRun;
    void let_go() noexcept override { end(); }
    [[nodiscard]] bool owns_store() const noexcept override { return false; }
  };
  Try<RunPtr> begun(bool good, OutFailure& failure);

  RunHandle handle_;
  Current operation_;
};

/// The bridge reads it as Rust's AtomicBool, which is laid out like a bool.
static_assert(sizeof(std::atomic<bool>) == sizeof(bool) && std::atomic<bool>::is_always_lock_free);

bool begin_call(bridge::BridgeRun* run, const Budget& budget, const Function& function, const Arguments& arguments,
                OutFailure& failure) {
  const auto* entry = static_cast<const BridgedFunction&>(function).handle.get();
  if (arguments.is_plain) {
    return bridge::bridge_run_call_bytes(run, &budget, entry, slice(arguments.plain[0]), slice(arguments.plain[1]),
                                         failure);
  }
  return bridge::bridge_run_call(run, &budget, entry, slice(arguments.encoded), failure);
}

Try<RunPtr> BridgedStore::begun(bool good, OutFailure& failure) {
  if (!good) {
    return std::unexpected(failure.take());
  }
  operation_.begin_again();
  return RunPtr(&operation_);
}

Try<RunPtr> BridgedStore::instantiate(const Budget& budget) {
  OutFailure failure;
  return begun(bridge::bridge_run_instantiate(handle_.get(), &budget, failure), failure);
}

Try<RunPtr> BridgedStore::call(const Budget& budget, const Function& function, const Arguments& arguments) {
  OutFailure failure;
  return begun(begin_call(handle_.get(), budget, function, arguments, failure), failure);
}

Try<RunPtr> BridgedStore::drop_handle(const Budget& budget, std::uint64_t number) {
  OutFailure failure;
  return begun(bridge::bridge_run_drop_handle(handle_.get(), &budget, number, failure), failure);
}

class BridgedPrepared final : public Prepared {
 public:
  BridgedPrepared(std::shared_ptr<Engine> engine, PreparedHandle handle)
      : engine_(std::move(engine)),
        handle_(std::move(handle)),
        wasi_(bridge::bridge_prepared_needs_wasi(handle_.get())) {}

  [[nodiscard]] bool needs_wasi() const noexcept override { return wasi_; }
  [[nodiscard]] Try<RunPtr> call(const Grants* grants, const Budget& budget, const Function& function,
                                 const Arguments& arguments) const override {
    auto run = fresh(grants);
    if (!run) {
      return std::unexpected(std::move(run.error()));
    }
    OutFailure failure;
    if (!begin_call(run->get(), budget, function, arguments, failure)) {
      return std::unexpected(failure.take());
    }
    return RunPtr(new FreshRun(std::move(*run)));
  }
  [[nodiscard]] Try<std::unique_ptr<Store>> store(const Grants* grants) const override {
    auto run = fresh(grants);
    if (!run) {
      return std::unexpected(std::move(run.error()));
    }
    return std::make_unique<BridgedStore>(std::move(*run));
  }

 private:
  [[nodiscard]] Try<RunHandle> fresh(const Grants* grants) const {
    bridge::BridgeGrants raw{};
    if (grants != nullptr) {
      raw = grants->raw;
      const auto end = [&](bool written) {
        return written ? static_cast<BridgedOutput&>(*grants->output).handle.get() : nullptr;
      };
      raw.out = end(grants->written.out);
      raw.err = end(grants->written.err);
    }
    OutFailure failure;
    RunHandle run(bridge::bridge_run_new(handle_.get(), wasi_ && grants != nullptr ? &raw : nullptr, failure));
    if (!run) {
      return std::unexpected(failure.take());
    }
    return run;
  }

  std::shared_ptr<Engine> engine_;
  PreparedHandle handle_;
  bool wasi_;
};

}  // namespace

std::unique_ptr<Prepared> bridged_prepared(std::shared_ptr<Engine> engine, PreparedHandle handle) {
  return std::make_unique<BridgedPrepared>(std::move(engine), std::move(handle));
}

}  // namespace airssys::wasm::wasmtime
