#include "runtime/guest_streams.hpp"

#include <unistd.h>

namespace airssys::wasm::runtime {

namespace {

/// What a guest may have written and nobody has taken yet; more makes it wait.
constexpr std::uint64_t kOutputBufferBytes = 64U << 10U;

}  // namespace

bool GuestStreams::open(Stream& stream, std::shared_ptr<engine::Output> output, OutputGrant grant, int descriptor) {
  stream.grant = grant;
  if (grant != OutputGrant::Discarded) {
    stream.output = std::move(output);
  }
  return grant != OutputGrant::Inherited || relay_->attach(stream.output, descriptor);
}

engine::Try<engine::Wasi> GuestStreams::open(const WasiGrants& grants, const ResourceLimits& limits) {
  engine::Wasi out;
  out.arguments = grants.arguments;
  out.environment = grants.environment;
  for (const auto& directory : grants.directories) {
    out.directories.push_back({directory.host, directory.guest, directory.writable});
  }
  if (const auto* bytes = std::get_if<StdinBytes>(&grants.stdin_source)) {
    out.stdin_bytes = bytes->bytes;
  }
  out.stdin_inherited = std::holds_alternative<StdinInherited>(grants.stdin_source);
  if (grants.coarse_clock) {
    out.coarse_clock_ns = static_cast<std::uint64_t>(grants.coarse_clock->count());
  }
  out.random_seed = grants.random_seed;
  out.random_bytes_max = limits.max_random.count;
  auto [stdout_end, stderr_end] = engine::Output::pair(kOutputBufferBytes, limits.max_output.count);
  if (!open(out_, std::move(stdout_end), grants.stdout_target, STDOUT_FILENO) ||
      !open(err_, std::move(stderr_end), grants.stderr_target, STDERR_FILENO)) {
    return std::unexpected(engine::Failure{engine::Cause::OutputUnread, OutputRelay::kLeftBytesMax, false, {}, {}});
  }
  out.out = out_.output;
  out.err = err_.output;
  return out;
}

void GuestStreams::drain() {
  for (auto* stream : {&out_, &err_}) {
    if (stream->output && stream->grant == OutputGrant::Inherited) {
      relay_->nudge();
    } else if (stream->output) {
      const auto bytes = stream->output->take();
      stream->captured.append(bytes.bytes().begin(), bytes.bytes().end());
    }
  }
}

void GuestStreams::hand_over(Report& report) {
  drain();
  report.stdout_text = std::exchange(out_.captured, {});
  report.stderr_text = std::exchange(err_.captured, {});
}

void GuestStreams::close() {
  for (auto* stream : {&out_, &err_}) {
    if (stream->output && stream->grant == OutputGrant::Inherited) {
      relay_->detach(stream->output);
    }
    stream->output.reset();
  }
}

}  // namespace airssys::wasm::runtime
