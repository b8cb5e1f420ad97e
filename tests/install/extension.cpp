#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <airssys/wasm.hpp>
#include <optional>

// The least that an extension of Python needs: one engine, and a function that runs a component.

namespace {

namespace wasm = airssys::wasm;

std::optional<wasm::WasmEngine> engine;

/// run(wat, helper): the number that `hello` answers, or the reason why there is none.
PyObject* run(PyObject* /*self*/, PyObject* arguments) {
  const char* wat = nullptr;
  const char* helper = nullptr;
  if (PyArg_ParseTuple(arguments, "ss", &wat, &helper) == 0) {
    return nullptr;
  }
  wasm::RuntimeConfig config;
  config.compile.helper = helper;
  config.cache = false;
  if (!engine) {
    auto made = wasm::WasmEngine::create(config);
    if (!made) {
      return PyUnicode_FromString(made.error().message.c_str());
    }
    engine.emplace(std::move(*made));
  }
  const auto hello = engine->load_text(wat, {.name = "hello"});
  if (!hello) {
    return PyUnicode_FromString(hello.error().message.c_str());
  }
  const auto answer = engine->call<std::int32_t>(*hello, "hello", {});
  return answer ? PyLong_FromLong(*answer) : PyUnicode_FromString(answer.error().message.c_str());
}

PyMethodDef methods[] = {{"run", run, METH_VARARGS, "runs hello"}, {nullptr, nullptr, 0, nullptr}};
PyModuleDef module = {PyModuleDef_HEAD_INIT, "extension", nullptr, -1, methods, nullptr, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit_extension() { return PyModule_Create(&module); }
