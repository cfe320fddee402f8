// Copies into shared memory that go on while a thread does other things. kernels/emulator has its own.
#pragma once

#ifdef __CUDACC__

namespace sparse_agents {

// 16 bytes, past the first level of cache.
__device__ __forceinline__ void copy_async(float4* to, const float4* from) {
  const unsigned place = static_cast<unsigned>(__cvta_generic_to_shared(to));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(place), "l"(from) : "memory");
}

// Those since the last call are a group.
__device__ __forceinline__ void close_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Until this thread's have arrived, but for the last `kPending` groups.
template <int kPending>
__device__ __forceinline__ void await_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

}  // namespace sparse_agents

#endif
