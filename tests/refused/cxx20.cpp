#include <airssys/wasm.hpp>
