#include <airssys/wasm/trap.hpp>

#include <array>

namespace airssys::wasm {

std::string_view name(TrapCode code) noexcept {
  static constexpr std::array kNames = {
      std::string_view{"stack_overflow"},
      std::string_view{"memory_out_of_bounds"},
      std::string_view{"heap_misaligned"},
      std::string_view{"table_out_of_bounds"},
      std::string_view{"indirect_call_to_null"},
      std::string_view{"bad_signature"},
      std::string_view{"integer_overflow"},
      std::string_view{"integer_division_by_zero"},
      std::string_view{"bad_conversion_to_integer"},
      std::string_view{"unreachable_code_reached"},
      std::string_view{"interrupt"},
      std::string_view{"out_of_fuel"},
      std::string_view{"atomic_wait_non_shared_memory"},
      std::string_view{"null_reference"},
      std::string_view{"array_out_of_bounds"},
      std::string_view{"allocation_too_large"},
      std::string_view{"cast_failure"},
      std::string_view{"cannot_enter_component"},
      std::string_view{"no_async_result"},
      std::string_view{"unhandled_tag"},
      std::string_view{"continuation_already_consumed"},
      std::string_view{"disabled_opcode"},
      std::string_view{"async_deadlock"},
      std::string_view{"cannot_leave_component"},
      std::string_view{"cannot_block_sync_task"},
      std::string_view{"invalid_char"},
      std::string_view{"debug_assert_string_encoding_finished"},
      std::string_view{"debug_assert_equal_code_units"},
      std::string_view{"debug_assert_pointer_aligned"},
      std::string_view{"debug_assert_upper_bits_unset"},
      std::string_view{"string_out_of_bounds"},
      std::string_view{"list_out_of_bounds"},
      std::string_view{"invalid_discriminant"},
      std::string_view{"unaligned_pointer"},
      std::string_view{"task_cancel_not_cancelled"},
      std::string_view{"task_cancel_or_return_twice"},
      std::string_view{"subtask_cancel_after_terminal"},
      std::string_view{"task_return_invalid"},
      std::string_view{"waitable_set_drop_has_waiters"},
      std::string_view{"subtask_drop_not_resolved"},
      std::string_view{"thread_new_indirect_invalid_type"},
      std::string_view{"thread_new_indirect_uninitialized"},
      std::string_view{"backpressure_overflow"},
      std::string_view{"unsupported_callback_code"},
      std::string_view{"cannot_resume_thread"},
      std::string_view{"concurrent_future_stream_op"},
      std::string_view{"reference_count_overflow"},
      std::string_view{"stream_op_too_big"},
      std::string_view{"waitable_sync_and_async"},
      std::string_view{"uncaught_exception"},
      std::string_view{"canonical_abi"},
      std::string_view{"host"},
      std::string_view{"unknown_handle"},
      std::string_view{"handle_type"},
      std::string_view{"handle_in_use"},
      std::string_view{"stream_misuse"},
  };
  static_assert(kNames.size() == static_cast<std::size_t>(TrapCode::StreamMisuse) + 1);
  const auto index = static_cast<std::size_t>(code);
  return index < kNames.size() ? kNames.at(index) : "unknown";
}

}  // namespace airssys::wasm
