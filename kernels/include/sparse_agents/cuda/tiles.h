// Where things lie. Activations are cut into tiles of kColumns samples, [tiles][features][kColumns], so that what a block
// needs of a tile is one contiguous piece, and a feature of it one sector of 32 bytes.
#pragma once

#ifndef __CUDACC__
#define SA_HOST_DEVICE inline
#else
#define SA_HOST_DEVICE __host__ __device__ __forceinline__
#endif

namespace sparse_agents {

constexpr int kColumns = 8;

SA_HOST_DEVICE int tiles_of(int batch) { return (batch + kColumns - 1) / kColumns; }

// Of sample `sample` of feature `feature`.
SA_HOST_DEVICE long long place_of(int feature, int sample, int features) {
  return (static_cast<long long>(sample / kColumns) * features + feature) * kColumns + sample % kColumns;
}

// Shared memory serves eight threads at a time, 16 of its 128 bytes each. Of a feature, four threads read the first half of
// the columns, and the next four the second; where these four have features that are different modulo 4, as in the order
// of sparse_agents.ops.cuda.balance, they read from different banks.
SA_HOST_DEVICE int half_read_first(int thread) { return thread >> 2 & 1; }

}  // namespace sparse_agents
