// CUDA's kernel language on the host, for kernels to be tested where no GPU is. Threads of a block are fibers of one thread of
// the processor, run in an order drawn at random between barriers, so that what depends on their order shows.
#pragma once

#include <math.h>

#define __global__
#define __device__
#define __host__
#define __shared__
#define __forceinline__ inline
#define __grid_constant__
#define __launch_bounds__(threads)

struct uint3 {
  unsigned x, y, z;
};
struct alignas(16) float4 {  // the processor refuses addresses that a GPU would refuse
  float x, y, z, w;
};

extern uint3 threadIdx, blockIdx, blockDim, gridDim;

// Of the whole block, and of a warp: everybody must arrive.
void __syncthreads();
float __shfl_xor_sync(unsigned mask, float value, int distance);

// A thread's copies happen at any time between copy_async() and the end of the await_copies() that waits for their group.
namespace sparse_agents {

void copy_async(float4* to, const float4* from);
void close_copies();
void await_copies(int pending);

template <int kPending>
void await_copies() {
  await_copies(kPending);
}

}  // namespace sparse_agents

inline int min(int a, int b) { return a < b ? a : b; }
inline int max(int a, int b) { return a > b ? a : b; }

// A thread of a kernel, with pointers to its arguments as CUDA takes them.
using Invoke = void (*)(void** arguments);

// Null where there is no such kernel with so many arguments.
Invoke find_kernel(const char* name, int count);
