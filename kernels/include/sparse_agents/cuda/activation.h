// The numbers of activations are those of sparse_agents/network.h.
#pragma once

namespace sparse_agents {

__device__ __forceinline__ float activated(float x, int activation) {
  if (activation == 1) return x > 0.0f ? x : (x != x ? x : 0.0f);  // a NaN stays one
  if (activation == 2) return tanhf(x);
  return x;
}

// Of the activation, as a function of what it gave.
__device__ __forceinline__ float derivative(float y, int activation) {
  if (activation == 1) return y > 0.0f ? 1.0f : 0.0f;
  if (activation == 2) return 1.0f - y * y;
  return 1.0f;
}

}  // namespace sparse_agents
