// As a source of the scheduler's: what is above it, then what is below.
#include "execution/metered_run.hpp"

#include "engine/engine_core.hpp"
