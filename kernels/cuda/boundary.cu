// What lies around the layers: samples into tiles and back, gradients through activations, sums of parts.
#include "sparse_agents/cuda/activation.h"
#include "sparse_agents/cuda/block_sum.h"
#include "sparse_agents/cuda/norm.h"
#include "sparse_agents/cuda/tiles.h"

using namespace sparse_agents;

extern __shared__ float4 slab[];

namespace {

constexpr int kSide = 32;  // of a square that goes through shared memory, for both sides to be read in order

}  // namespace

// x, [batch, features], into tiles; samples beyond the batch are zero. Blocks of (32, 8) threads, a square each.
extern "C" __global__ void into_tiles(int batch, int features, const float* x, float* tiles) {
  float* square = reinterpret_cast<float*>(slab);
  const int sample = blockIdx.y * kSide, feature = blockIdx.x * kSide;
  for (int i = threadIdx.y; i < kSide; i += blockDim.y) {
    const int s = sample + i, f = feature + threadIdx.x;
    const bool there = s < batch && f < features;
    square[i * (kSide + 1) + threadIdx.x] = there ? x[static_cast<long long>(s) * features + f] : 0.0f;
  }
  __syncthreads();
  const int padded = tiles_of(batch) * kColumns;
  for (int i = threadIdx.y; i < kSide; i += blockDim.y) {
    const int s = sample + threadIdx.x, f = feature + i;
    if (s < padded && f < features) tiles[place_of(f, s, features)] = square[threadIdx.x * (kSide + 1) + i];
  }
}

// Tiles into y, [batch, features].
extern "C" __global__ void from_tiles(int batch, int features, const float* tiles, float* y) {
  float* square = reinterpret_cast<float*>(slab);
  const int sample = blockIdx.y * kSide, feature = blockIdx.x * kSide;
  for (int i = threadIdx.y; i < kSide; i += blockDim.y) {
    const int s = sample + threadIdx.x, f = feature + i;
    if (s < batch && f < features) square[threadIdx.x * (kSide + 1) + i] = tiles[place_of(f, s, features)];
  }
  __syncthreads();
  for (int i = threadIdx.y; i < kSide; i += blockDim.y) {
    const int s = sample + i, f = feature + threadIdx.x;
    if (s < batch && f < features) y[static_cast<long long>(s) * features + f] = square[i * (kSide + 1) + threadIdx.x];
  }
}

// LayerNorm of `y`, and what follows it; see normalise(). A block for each tile; all is in tiles.
extern "C" __global__ void normalise_tiles(int features, int activation, float* y, float* normalised) {
  float* tile = y + static_cast<long long>(blockIdx.x) * features * kColumns;
  float* keep = normalised + static_cast<long long>(blockIdx.x) * (features + 1) * kColumns;
  normalise(features, function_of(activation), tile, keep, reinterpret_cast<float*>(slab));
}

// `grad`, of what that gave, becomes the gradient of the sums.
extern "C" __global__ void through_norm(
    int features, int activation, const float* y, const float* normalised, float* grad) {
  const long long before = static_cast<long long>(blockIdx.x) * features * kColumns;
  for (int k = threadIdx.x; k < features * kColumns; k += blockDim.x) {
    grad[before + k] *= derivative(y[before + k], function_of(activation));
  }
  const float* kept = normalised + static_cast<long long>(blockIdx.x) * (features + 1) * kColumns;
  normalised_gradient(features, kept, grad + before, reinterpret_cast<float*>(slab));
}

// Through the activation that gave `y`: `grad` becomes the gradient of what went into it, and `grad_bias`, where it is
// wanted, its sum over samples. A block of a power of two of threads has one feature; both are in tiles.
extern "C" __global__ void through_activation(
    int features, int tiles, int activation, const float* y, float* grad, float* grad_bias) {
  const int feature = blockIdx.x, samples = tiles * kColumns;
  float sum = 0.0f;
  for (int sample = threadIdx.x; sample < samples; sample += blockDim.x) {
    const long long place = place_of(feature, sample, features);
    const float through = grad[place] * derivative(y[place], activation);
    grad[place] = through;
    sum += through;
  }
  if (grad_bias == nullptr) return;
  const float total = block_sum(sum, reinterpret_cast<float*>(slab));
  if (threadIdx.x == 0) grad_bias[feature] = total;
}

// total[i] = sum of parts[..][i], in order.
extern "C" __global__ void add_parts(int count, int parts, const float* part, float* total) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= count) return;
  float sum = 0.0f;
  for (int p = 0; p < parts; ++p) sum += part[static_cast<long long>(p) * count + i];
  total[i] = sum;
}
