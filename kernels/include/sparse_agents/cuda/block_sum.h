// The sum over the threads of a block, always in the same order.
#pragma once

namespace sparse_agents {

// Returned to the first thread. Blocks are powers of two of threads; `memory` is shared, a number for each of them.
template <typename T>
__device__ __forceinline__ T block_sum(T mine, T* memory) {
  memory[threadIdx.x] = mine;
  for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half) memory[threadIdx.x] += memory[threadIdx.x + half];
  }
  return memory[0];
}

}  // namespace sparse_agents
