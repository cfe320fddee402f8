// Sums over the lanes of a group, each of which holds some of kColumns sums.
#pragma once

#include "sparse_agents/cuda/tiles.h"

namespace sparse_agents {

// What a lane holds of the kColumns sums after reduce(): `held` of them, from `first` on; of lanes that hold the same,
// one is the `owner`.
template <int kLanes>
struct Share {
  static constexpr int held = kLanes >= kColumns ? 1 : kColumns / kLanes;
  int first;
  bool owner;
};

// Each step halves what a lane holds: it gives one half away, and gets the other lane's sums of the half that it keeps.
template <int kLanes, int kHeld = kColumns, int kDistance = kLanes / 2>
struct Reduce {
  static __device__ __forceinline__ void run(float (&sums)[kColumns], int lane, Share<kLanes>& share) {
    constexpr int kHalf = kHeld > 1 ? kHeld / 2 : 1;
    const bool upper = (lane & kDistance) != 0;
    if (kHeld > 1) {
#pragma unroll
      for (int i = 0; i < kHalf; ++i) {
        const float given = upper ? sums[i] : sums[i + kHalf];
        const float kept = upper ? sums[i + kHalf] : sums[i];
        sums[i] = kept + __shfl_xor_sync(0xffffffffu, given, kDistance);
      }
      if (upper) share.first += kHalf;
    } else {
      sums[0] += __shfl_xor_sync(0xffffffffu, sums[0], kDistance);
      if (upper) share.owner = false;
    }
    Reduce<kLanes, kHalf, kDistance / 2>::run(sums, lane, share);
  }
};

template <int kLanes, int kHeld>
struct Reduce<kLanes, kHeld, 0> {
  static __device__ __forceinline__ void run(float (&)[kColumns], int, Share<kLanes>&) {}
};

template <int kLanes>
__device__ __forceinline__ Share<kLanes> reduce(float (&sums)[kColumns], int lane) {
  Share<kLanes> share{0, true};
  Reduce<kLanes>::run(sums, lane, share);
  return share;
}

}  // namespace sparse_agents
