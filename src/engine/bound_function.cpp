#include "engine/bound_function.hpp"

#include "base/forked.hpp"
#include "engine/guest_call.hpp"
#include "ledger/exhausted.hpp"

namespace airssys::wasm {

namespace engine {

namespace {

const std::shared_ptr<load::LoadedComponent>& component_of(const BoundFunction::Where& where) {
  const auto* fresh = std::get_if<BoundFunction::Fresh>(&where);
  return fresh != nullptr ? fresh->component : std::get<std::shared_ptr<KeptInstance>>(where)->component();
}

Error too_late_to_grant(const std::string& function) {
  return {BadCall{function, {}, BadCallCause::Grant},
          Phase::Link,
          "an instance has the grants it was made with; this call brings others",
          "give the call a CallBudget, and the grants to WasmEngine::instantiate",
          {},
          {}};
}

}  // namespace

Result<std::shared_ptr<const BoundFunction>> BoundFunction::bind(Where where, std::string_view function,
                                                                 const FunctionType& wanted) {
  const auto found = execution::find_typed(*component_of(where), function, wanted);
  if (!found) {
    return std::unexpected(found.error());
  }
  return base::make_held<BoundFunction>(std::move(where), std::string(function), **found);
}

BoundFunction::BoundFunction(Where where, std::string name, const load::CallableFunction& function)
    : where_(std::move(where)), name_(std::move(name)), function_(function) {}

Result<execution::CheckedCall> BoundFunction::plan(typed::Arguments arguments, const CallOptions& how,
                                                   execution::Borrowing borrowing) const {
  if (std::holds_alternative<std::shared_ptr<KeptInstance>>(where_) && how.grants() != nullptr &&
      *how.grants() != WasiGrants{}) {
    return std::unexpected(too_late_to_grant(name_));
  }
  return execution::plan_typed(component_of(where_), {name_, function_}, std::move(arguments), borrowing);
}

Report BoundFunction::run(typed::Arguments arguments, const CallOptions& how, wasmtime::Answer& answer) const {
  auto planned = plan(std::move(arguments), how, execution::Borrowing::UntilTheEnd);
  if (planned) {
    planned->answer_to = &answer;
  }
  if (const auto* fresh = std::get_if<Fresh>(&where_)) {
    return run_fresh(*fresh->workplace, *fresh->component, std::move(planned), name_, {how.budget(), how.grants()},
                     how.stop());
  }
  return std::get<std::shared_ptr<KeptInstance>>(where_)->run(std::move(planned), name_, how.budget(), how.stop());
}

std::shared_ptr<StartedRun> BoundFunction::start(typed::Arguments arguments, const CallOptions& how) const {
  auto planned = plan(std::move(arguments), how, execution::Borrowing::No);
  if (const auto* fresh = std::get_if<Fresh>(&where_)) {
    return start_fresh(*fresh->workplace, *fresh->component, std::move(planned), name_, {how.budget(), how.grants()},
                       how.stop());
  }
  return std::get<std::shared_ptr<KeptInstance>>(where_)->start(std::move(planned), name_, how.budget(), how.stop());
}

}  // namespace engine

namespace typed {

EncodedReport run(const detail::BoundFunction& function, Arguments arguments, const CallOptions& how) {
  encoding::Answer answer;
  // The report first: it is written where it stays.
  return {function.run(std::move(arguments), how, answer), std::move(answer)};
}

EncodedExecution start(const detail::BoundFunction& function, Arguments arguments, const CallOptions& how) {
  const auto run = function.start(std::move(arguments), how);
  return {detail::Behind::make<Execution>(run), std::shared_ptr<const encoding::Answer>(run, &run->typed_answer())};
}

Report no_memory_to_read() noexcept {
  Report report;
  report.result = std::unexpected(ledger::no_memory(Phase::Call));
  return report;
}

Error undecodable() { return {HostBug{}, Phase::Call, "the result does not decode", {}, {}, {}}; }

}  // namespace typed

}  // namespace airssys::wasm
