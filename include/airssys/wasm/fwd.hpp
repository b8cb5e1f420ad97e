#pragma once

/// The names of the library without its headers, for headers of yours.
namespace airssys::wasm {

class CallOptions;
class ComponentHandle;
class Execution;
class HostCall;
class HostCompletion;
class HostInterface;
class Instance;
class Report;
class Value;
class WasmEngine;

struct CallBudget;
struct ComponentInput;
struct ComponentOutput;
struct Error;
struct ExecutionContext;
struct FunctionType;
struct LoadLimits;
struct ResourceLimits;
struct ResourceUsage;
struct RuntimeConfig;
struct Statistics;
struct Type;
struct WasiGrants;

template <class Signature>
class Function;
template <class R>
class TypedCompletion;
template <class R>
class TypedExecution;
template <class R>
struct TypedReport;

}  // namespace airssys::wasm
