// Whole training steps as lists of operations, run in one call.
#pragma once
#include "network.h"
#include "operations.h"

#ifdef __cplusplus
extern "C" {
#endif

// Of the struct of an operation of this kind; 0: there is none.
int64_t sa_operation_bytes(int32_t kind);

// One operation after the other; stops at the first that fails.
sa_status sa_program_run(const sa_operation *const *operations, int64_t count, int32_t dtype,
                         int32_t threads);

#ifdef __cplusplus
}
#endif
