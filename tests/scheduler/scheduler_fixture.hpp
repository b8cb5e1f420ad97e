#pragma once

#include "scheduler/scheduler.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <ctime>
#include <future>
#include <semaphore>

#include "scheduler/fake_run.hpp"

namespace airssys::wasm::test {

using namespace std::chrono_literals;
using scheduler::Scheduler;
using scheduler::SchedulerLimits;
using scheduler::SharedRun;

class SchedulerTest : public ::testing::Test {
 protected:
  void start(const SchedulerLimits& limits) { scheduler = Scheduler::create(limits); }
  void TearDown() override {
    if (scheduler) {
      scheduler->shutdown();
    }
  }
  static CallBudget budget(std::chrono::nanoseconds timeout = 10s, std::chrono::nanoseconds cpu = 10s) {
    CallBudget out;
    out.limits.max_fuel = 1'000_fuel;
    out.limits.max_cpu_time = cpu;
    out.timeout = timeout;
    return out;
  }
  static std::shared_ptr<SharedRun> core(std::vector<Step> script, std::chrono::nanoseconds timeout = 10s,
                                         std::chrono::nanoseconds cpu = 10s) {
    return std::make_shared<FakeExecution>(std::move(script), budget(timeout, cpu));
  }
  std::shared_ptr<SharedRun> submit(const std::shared_ptr<SharedRun>& run) {
    scheduler->submit(run);
    return run;
  }
  static std::string_view reason(const Report& report) { return report ? "returned" : report.error().reason(); }

  std::shared_ptr<Scheduler> scheduler;
};

}  // namespace airssys::wasm::test
