#pragma once

/// The whole library: `#include <airssys/wasm.hpp>`.
#if __cplusplus <= 202002L
#error "airssys-wasm needs C++23: compile with -std=c++23 or later"
#else
#include <airssys/wasm/capability.hpp>
#include <airssys/wasm/component.hpp>
#include <airssys/wasm/component_io.hpp>
#include <airssys/wasm/config.hpp>
#include <airssys/wasm/context.hpp>
#include <airssys/wasm/engine.hpp>
#include <airssys/wasm/error.hpp>
#include <airssys/wasm/execution.hpp>
#include <airssys/wasm/function.hpp>
#include <airssys/wasm/host.hpp>
#include <airssys/wasm/instance.hpp>
#include <airssys/wasm/limit_table.hpp>
#include <airssys/wasm/limits.hpp>
#include <airssys/wasm/quantity.hpp>
#include <airssys/wasm/report.hpp>
#include <airssys/wasm/statistics.hpp>
#include <airssys/wasm/text.hpp>
#include <airssys/wasm/trap.hpp>
#include <airssys/wasm/type.hpp>
#include <airssys/wasm/typed.hpp>
#include <airssys/wasm/units.hpp>
#include <airssys/wasm/value.hpp>
#include <airssys/wasm/version.hpp>
#include <airssys/wasm/wit_mapping.hpp>
#include <airssys/wasm/wit_values.hpp>
#endif
