// Scratch memory that a calling thread keeps between calls, so that the kernels allocate nothing.
#pragma once
#include <stddef.h>

namespace sparse_agents {

constexpr size_t kAlignment = 64;
inline size_t aligned(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

// At least this many bytes, 64-byte aligned, valid until the calling thread asks again; NULL when
// memory is exhausted. One implementation (api.cpp) serves every instruction set.
void *scratch(size_t bytes);

} // namespace sparse_agents
