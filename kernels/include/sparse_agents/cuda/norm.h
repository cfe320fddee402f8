// LayerNorm between a layer's sums and its activation (Ba et al. 2016), without gain and bias: every sample's sums are shifted
// and scaled to mean 0 and variance 1 over the layer's features. A block has a tile in hand, and each thread the elements
// threadIdx.x, threadIdx.x + blockDim.x, ... of it, which are of one column.
#pragma once

#include "sparse_agents/cuda/activation.h"
#include "sparse_agents/cuda/tiles.h"

namespace sparse_agents {

constexpr int kLayerNorm = 16;  // SA_LAYER_NORM of sparse_agents/network.h
constexpr float kNormEpsilon = 1e-5f;

__device__ __forceinline__ bool normalises(int activation) { return activation >= kLayerNorm; }
__device__ __forceinline__ int function_of(int activation) { return activation % kLayerNorm; }

struct Pair {
  float first, second;
};

// Sums over the threads of a block that have the same column. Blocks are powers of two of threads, kColumns at least;
// `scratch` is shared, two numbers for each of them.
__device__ __forceinline__ Pair column_sums(float first, float second, float* scratch) {
  float* other = scratch + blockDim.x;
  __syncthreads();  // what was there has been read
  scratch[threadIdx.x] = first;
  other[threadIdx.x] = second;
  for (unsigned half = blockDim.x / 2; half >= kColumns; half /= 2) {
    __syncthreads();
    if (threadIdx.x >= half) continue;
    scratch[threadIdx.x] += scratch[threadIdx.x + half];
    other[threadIdx.x] += other[threadIdx.x + half];
  }
  __syncthreads();
  const int column = threadIdx.x % kColumns;
  return {scratch[column], other[column]};
}

// A tile of sums, [features][kColumns], becomes `function` of the normalised ones; these, and behind them what each column was
// scaled by, are left in `normalised`, where that is given.
__device__ inline void normalise(int features, int function, float* tile, float* normalised, float* scratch) {
  const int count = features * kColumns;
  const float share = 1.0f / static_cast<float>(features);
  float total = 0.0f, square = 0.0f;
  for (int k = threadIdx.x; k < count; k += blockDim.x) total += tile[k];
  const float mean = column_sums(total, 0.0f, scratch).first * share;
  for (int k = threadIdx.x; k < count; k += blockDim.x) square += (tile[k] - mean) * (tile[k] - mean);
  const float scale = 1.0f / sqrtf(column_sums(square, 0.0f, scratch).first * share + kNormEpsilon);
  for (int k = threadIdx.x; k < count; k += blockDim.x) {
    const float z = (tile[k] - mean) * scale;
    if (normalised) normalised[k] = z;
    tile[k] = activated(z, function);
  }
  if (normalised && threadIdx.x < kColumns) normalised[count + threadIdx.x] = scale;
}

// From the gradient of the normalised sums z to that of the sums, in place: scale (g - mean g - z mean(g z)).
__device__ inline void normalised_gradient(int features, const float* normalised, float* tile, float* scratch) {
  const int count = features * kColumns;
  const float share = 1.0f / static_cast<float>(features), scale = normalised[count + threadIdx.x % kColumns];
  float total = 0.0f, along = 0.0f;
  for (int k = threadIdx.x; k < count; k += blockDim.x) total += tile[k], along += tile[k] * normalised[k];
  const Pair sums = column_sums(total, along, scratch);
  for (int k = threadIdx.x; k < count; k += blockDim.x) {
    tile[k] = scale * (tile[k] - sums.first * share - normalised[k] * sums.second * share);
  }
}

}  // namespace sparse_agents
