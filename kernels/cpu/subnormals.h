// Subnormal numbers cost a hundred cycles each on most processors; inside kernels they count as zero.
#pragma once
#include <stdint.h>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace sparse_agents {
namespace SA_ISA {

// Sets flush-to-zero for the calling thread, and restores what it found.
class FlushSubnormals {
public:
#if defined(__x86_64__)
  FlushSubnormals() : saved_(_mm_getcsr()) { _mm_setcsr(saved_ | 0x8040); }
  ~FlushSubnormals() { _mm_setcsr(saved_); }

private:
  uint32_t saved_;
#elif defined(__aarch64__)
  FlushSubnormals() {
    asm volatile("mrs %0, fpcr" : "=r"(saved_));
    asm volatile("msr fpcr, %0" ::"r"(saved_ | (uint64_t(1) << 24)));
  }
  ~FlushSubnormals() { asm volatile("msr fpcr, %0" ::"r"(saved_)); }

private:
  uint64_t saved_;
#else
  FlushSubnormals() {}
#endif
};

} // namespace SA_ISA
} // namespace sparse_agents
