#include "host/guest_streams.hpp"

#include <unistd.h>

namespace airssys::wasm::host {

namespace {

/// What a guest may have written and nobody has taken yet; more makes it wait.
constexpr std::uint32_t kOutputBufferBytes = 64U << 10U;

wasmtime::Streams granted(const WasiGrants& grants, OutputGrant grant) {
  return {grants.stdout_target == grant, grants.stderr_target == grant};
}

}  // namespace

wasmtime::Try<grants::WrittenOutput> GuestStreams::open(const WasiGrants& grants, Bytes max_output) {
  inherited_ = granted(grants, OutputGrant::Inherited);
  captured_ = granted(grants, OutputGrant::Captured);
  output_ = wasmtime::Output::make(kOutputBufferBytes);
  output_->allow(max_output.count);
  if (inherited_.any() && !relay_->attach(output_, {.out = inherited_.out ? STDOUT_FILENO : -1,
                                                    .err = inherited_.err ? STDERR_FILENO : -1})) {
    return std::unexpected(wasmtime::Failure{wasmtime::Cause::OutputUnread, OutputRelay::kLeftBytesMax, false, {}, {}});
  }
  return grants::WrittenOutput{output_, {inherited_.out || captured_.out, inherited_.err || captured_.err}};
}

void GuestStreams::allow(Bytes max_output) {
  if (output_) {
    output_->allow(max_output.count);
  }
}

std::optional<ledger::Shortage> GuestStreams::drain() {
  if (output_ && inherited_.any()) {
    relay_->nudge();
  }
  if (output_ && captured_.any()) {
    const auto taken = output_->take(captured_);
    // Twice, since a text that grows is copied now and then.
    if (const auto bytes = taken.size() * 2; account_ != nullptr && bytes > 0) {
      if (auto shortage = account_->grow(ledger::Kind::Memory, bytes)) {
        return shortage;
      }
      charged_ += bytes;
    }
    wasmtime::OutputPieces pieces(taken);
    while (const auto piece = pieces.next()) {
      (piece->is_err ? stderr_text_ : stdout_text_).append(piece->bytes.begin(), piece->bytes.end());
    }
  }
  return {};
}

void GuestStreams::give_back() noexcept {
  if (account_ != nullptr && charged_ > 0) {
    ledger::Amounts charged;
    charged[ledger::Kind::Memory] = std::exchange(charged_, 0);
    account_->give_back(charged);
  }
}

void GuestStreams::hand_over(Report& report) {
  // The last poll has drained them; what came since is 128 KiB at most.
  static_cast<void>(drain());
  report.stdout_text = std::exchange(stdout_text_, {});
  report.stderr_text = std::exchange(stderr_text_, {});
  give_back();  // From here on it is the caller's.
  report.resource_usage.output_lost = Bytes{output_ ? output_->lost() : 0};
}

void GuestStreams::close() {
  if (output_ && inherited_.any()) {
    relay_->detach(output_);
  }
  output_.reset();
}

}  // namespace airssys::wasm::host
