// The columns of a feature: what a thread reads of a tile at once.
#pragma once

#include "sparse_agents/cuda/tiles.h"

namespace sparse_agents {

// With one half first, see half_read_first().
__device__ __forceinline__ void load(const float4* feature, int half, float (&columns)[kColumns]) {
  const float4 first = feature[half], second = feature[1 - half];
  columns[0] = first.x, columns[1] = first.y, columns[2] = first.z, columns[3] = first.w;
  columns[4] = second.x, columns[5] = second.y, columns[6] = second.z, columns[7] = second.w;
}

// Into the order of samples, what was read like this.
__device__ __forceinline__ void straighten(float (&columns)[kColumns], int half) {
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float first = columns[i], second = columns[i + 4];
    columns[i] = half ? second : first;
    columns[i + 4] = half ? first : second;
  }
}

}  // namespace sparse_agents
