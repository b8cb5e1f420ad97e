#include "host/host_functions.hpp"

#include <exception>

#include "base/forked.hpp"
#include "wit/codec.hpp"

namespace airssys::wasm {

HostCall::HostCall(const RunId& run_id, const ComponentId& component, std::chrono::steady_clock::time_point deadline,
                   Fuel fuel_left, const std::atomic<bool>* cancelled,
                   std::shared_ptr<host::PendingCall> pending) noexcept
    : run_id_(run_id),
      component_(component),
      deadline_(deadline),
      fuel_left_(fuel_left),
      cancelled_(cancelled),
      pending_(std::move(pending)) {}

std::chrono::nanoseconds HostCall::remaining() const noexcept { return deadline_ - base::Clock::now(); }

HostCompletion HostCall::later() const { return HostCompletion(pending_); }

bool HostCompletion::complete(HostAnswer answer) const {
  return !base::forked() && pending_->complete(std::move(answer));
}

bool HostCompletion::abandoned() const { return base::forked() || pending_->abandoned(); }

bool HostCompletion::complete_encoded(HostResult<std::vector<std::uint8_t>> answer) const {
  return !base::forked() && pending_->complete(std::move(answer));
}

HostInterface& HostInterface::add(std::string name, EncodedHostFunction function) {
  table_->add({name_, std::move(name), std::make_shared<host::AnyHostFunction>(std::move(function))});
  return *this;
}
HostInterface& HostInterface::function(std::string name, HostFunction function) {
  table_->add({name_, std::move(name), std::make_shared<host::AnyHostFunction>(std::move(function))});
  return *this;
}
HostInterface& HostInterface::async_function(std::string name, AsyncHostFunction function) {
  table_->add({name_, std::move(name), std::make_shared<host::AnyHostFunction>(std::move(function))});
  return *this;
}

namespace host {

void HostTable::add(HostEntry entry) {
  if (base::forked()) {
    return;
  }
  // What is replaced is somebody else's, and goes after the lock.
  HostEntries replaced;
  const std::lock_guard lock(mutex_);
  auto more = std::make_shared<std::vector<HostEntry>>(*entries_);
  std::erase_if(*more, [&](const HostEntry& e) { return e.interface == entry.interface && e.name == entry.name; });
  more->push_back(std::move(entry));
  replaced = std::exchange(entries_, std::move(more));
}

HostEntries HostTable::entries() const {
  const std::lock_guard lock(mutex_);
  return entries_;
}

namespace {

/// Why these values are no answer to a call that expects `result`.
std::optional<std::string> wrong(const std::vector<Value>& values, const std::optional<Type>& result) {
  if (values.size() != (result ? 1U : 0U)) {
    return "the host function answered with " + std::to_string(values.size()) + " values, the guest expects " +
           (result ? "1" : "none");
  }
  if (!result) {
    return {};
  }
  auto why = wit::mismatch(values.front(), *result);
  return why ? std::optional("the host function's answer " + *why) : std::nullopt;
}

}  // namespace

PendingCall::~PendingCall() { refuse("the host function gave no answer"); }

bool PendingCall::complete(HostAnswer answer) {
  // All that may throw comes before the call counts as answered.
  const auto why = answer ? wrong(*answer, *result_) : std::nullopt;
  const auto encoded = answer && !why ? wit::encode_all(*answer) : std::vector<std::uint8_t>();
  if (answered_.exchange(true)) {
    return false;
  }
  if (!answer) {
    return calls_->refuse(ticket_, answer.error().code, answer.error().message);
  }
  return why ? calls_->refuse(ticket_, 0, *why) : calls_->answer(ticket_, encoded);
}

void PendingCall::refuse(std::string_view why) noexcept {
  if (!answered_.exchange(true)) {
    calls_->refuse(ticket_, 0, why);
  }
}

bool PendingCall::complete(HostResult<std::vector<std::uint8_t>> encoded) {
  if (answered_.exchange(true)) {
    return false;
  }
  return encoded ? calls_->answer(ticket_, *encoded)
                 : calls_->refuse(ticket_, encoded.error().code, encoded.error().message);
}

void call_host(const HostEntry& entry, HostCall& call, std::span<const std::uint8_t> arguments,
               const std::shared_ptr<PendingCall>& pending) noexcept {
  try {
    if (auto* typed = std::get_if<EncodedHostFunction>(entry.function.get())) {
      if (auto answer = typed->call(call, arguments)) {
        pending->complete(std::move(*answer));
      }
      return;
    }
    const auto values = wit::decode_all(arguments);
    if (!values) {
      pending->complete(HostAnswer(host_error("the arguments do not decode")));
    } else if (auto* at_once = std::get_if<HostFunction>(entry.function.get())) {
      pending->complete((*at_once)(call, *values));
    } else {
      auto& later = std::get<AsyncHostFunction>(*entry.function);
      later(call, *values);
    }
  } catch (const std::exception& thrown) {
    pending->refuse(thrown.what());
  } catch (...) {
    pending->refuse("the host function threw something that is no std::exception");
  }
}

}  // namespace host

}  // namespace airssys::wasm
