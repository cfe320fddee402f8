// Tiles on their way through shared memory, in parts: while a block reads one, those after it arrive.
#pragma once

#include "sparse_agents/cuda/copies.h"
#include "sparse_agents/cuda/tiles.h"

namespace sparse_agents {

constexpr int kWide = kColumns / 4;  // float4s of a feature

// Features `first` to `first + count` of a tile.
struct Part {
  const float4* values;
  unsigned first, count;
  // False for what is no feature, below 0.
  __device__ __forceinline__ bool has(int feature) const { return static_cast<unsigned>(feature) - first < count; }
  __device__ __forceinline__ const float4* of(int feature) const {
    return values + (static_cast<unsigned>(feature) - first) * kWide;
  }
};

// Tiles in parts of kPart features at most, `each` of a tile, one after the other; all threads of a block ask for them
// together. kStages parts have room in shared memory, one to be read and the others to arrive; with kStages = 0 whole tiles
// are read from where they are.
template <int kStages, int kPart>
class Parts {
 public:
  const int each;

  __device__ __forceinline__ Parts(const float* tiles, int tile_count, int features, float4* room)
      : each(kStages > 0 ? (features + kPart - 1) / kPart : 1), features_(features), room_(room),
        source_(reinterpret_cast<const float4*>(tiles)), unsent_(tile_count * each) {
    if constexpr (kStages > 0) {
      __syncthreads();  // what is there has been read
      for (int i = 0; i < kStages - 1; ++i) send(i, i);
    }
  }

  // Of the tile that is its turn, part `i`.
  __device__ __forceinline__ Part next(int i) {
    if constexpr (kStages > 0) {
      await_copies<kStages - 2>();
      __syncthreads();  // of all threads; and the part before has been read, into whose place another one goes
      send(i + kStages - 1, stage_ > 0 ? stage_ - 1 : kStages - 1);
      const Part part{room_ + stage_ * stride(), static_cast<unsigned>(i) * kPart, static_cast<unsigned>(size(i))};
      stage_ = stage_ + 1 < kStages ? stage_ + 1 : 0;
      return part;
    } else {
      const float4* values = source_;
      source_ += features_ * kWide;
      return {values, 0, static_cast<unsigned>(features_)};
    }
  }

 private:
  __device__ __forceinline__ int size(int part) const { return min(kPart, features_ - part * kPart); }
  __device__ __forceinline__ int stride() const { return size(0) * kWide; }

  // Parts counted from the first one of a tile on.
  __device__ __forceinline__ void send(int part, int stage) {
    if (unsent_-- > 0) {
      const int wide = size(part % each) * kWide;
      float4* target = room_ + stage * stride();
      for (int i = threadIdx.x; i < wide; i += blockDim.x) copy_async(target + i, source_ + i);
      source_ += wide;
    }
    close_copies();  // of none, too: groups are counted
  }

  const int features_;
  float4* const room_;
  const float4* source_;  // of the next part to be sent
  int unsent_, stage_ = 0;
};

}  // namespace sparse_agents
