// All layers of a small network in one launch. A block takes one tile of samples after the other through the whole chain;
// its activations, or their gradients, are in shared memory, where those of two neighbouring layers have room. Gradients
// of the parameters are summed over a block's own tiles, and over blocks by chain_sum. No atomics: results are the same
// bits every time.
#include "sparse_agents/cuda/activation.h"
#include "sparse_agents/cuda/chain.h"
#include "sparse_agents/cuda/columns.h"
#include "sparse_agents/cuda/reduce.h"
#include "sparse_agents/cuda/tiles.h"

using namespace sparse_agents;

extern __shared__ float4 slab[];

namespace {

// Samples of `matrix`, [batch, features], as a tile; beyond the batch there are zeros.
__device__ void read_tile(const float* matrix, int batch, int features, int tile, float* to) {
  for (int k = threadIdx.x; k < kColumns * features; k += blockDim.x) {
    const int column = k / features, feature = k % features, sample = tile * kColumns + column;
    to[feature * kColumns + column] =
        sample < batch ? matrix[static_cast<long long>(sample) * features + feature] : 0.0f;
  }
}

__device__ void write_tile(const float* from, int batch, int features, int tile, float* matrix) {
  for (int k = threadIdx.x; k < kColumns * features; k += blockDim.x) {
    const int column = k / features, feature = k % features, sample = tile * kColumns + column;
    if (sample < batch) matrix[static_cast<long long>(sample) * features + feature] = from[feature * kColumns + column];
  }
}

__device__ void keep_tile(const float* from, int features, float* to) {
  for (int k = threadIdx.x; k < kColumns * features; k += blockDim.x) to[k] = from[k];
}

// In a workspace, [boundaries][tiles][features][kColumns]: those of a tile at the boundary that `before` features are
// before.
__device__ __forceinline__ long long tile_at(int before, int features, int tile, int tiles) {
  return (static_cast<long long>(before) * tiles + static_cast<long long>(features) * tile) * kColumns;
}

// A row of a direction, and its connections; none where the row is not there.
struct Row {
  int number, begin, end;
  bool there;
  __device__ __forceinline__ Row(const Direction& way, int number, int rows) : number(number), there(number < rows) {
    begin = there ? way.row_ptr[number] : 0;
    end = there ? way.row_ptr[number + 1] : 0;
  }
};

// A layer's outputs, from what is below it.
template <int kLanes>
__device__ void up(const ChainLayer& layer, const float* below, float* above) {
  const Direction& way = layer.by_output;
  const int lane = threadIdx.x % kLanes, groups = blockDim.x / kLanes, half = half_read_first(threadIdx.x);
  const float4* source = reinterpret_cast<const float4*>(below);
  for (int base = 0; base < layer.rows; base += groups) {
    const Row row(way, base + threadIdx.x / kLanes, layer.rows);
    float sums[kColumns] = {};
    for (int entry = row.begin + lane; entry < row.end; entry += kLanes) {
      float columns[kColumns];
      load(source + way.feature[entry] * (kColumns / 4), half, columns);
      const float weight = layer.weight[way.slot[entry]];
#pragma unroll
      for (int i = 0; i < kColumns; ++i) sums[i] = fmaf(weight, columns[i], sums[i]);
    }
    straighten(sums, half);
    const Share<kLanes> share = reduce<kLanes>(sums, lane);
    if (!row.there || !share.owner) continue;
    const float bias = layer.bias ? layer.bias[row.number] : 0.0f;
#pragma unroll
    for (int i = 0; i < Share<kLanes>::held; ++i) {
      above[row.number * kColumns + share.first + i] = activated(sums[i] + bias, layer.activation);
    }
  }
}

// From the gradient of a layer's sums to that of its inputs, and of its weights where these are wanted: added to `parts`,
// but for a block's `first` tile. `input` lies in memory of the device.
template <int kLanes>
__device__ void down(
    const ChainLayer& layer, const float* above, const float* input, float* below, float* parts, bool first) {
  const Direction& way = layer.by_input;
  const int lane = threadIdx.x % kLanes, groups = blockDim.x / kLanes, half = half_read_first(threadIdx.x);
  const float4* source = reinterpret_cast<const float4*>(above);
  for (int base = 0; base < layer.cols; base += groups) {
    const Row row(way, base + threadIdx.x / kLanes, layer.cols);
    float sums[kColumns] = {}, inputs[kColumns] = {};
    if (row.there && parts) load(reinterpret_cast<const float4*>(input) + row.number * (kColumns / 4), half, inputs);
    for (int entry = row.begin + lane; entry < row.end; entry += kLanes) {
      float columns[kColumns], dot = 0.0f;
      load(source + way.feature[entry] * (kColumns / 4), half, columns);
      const int slot = way.slot[entry];
      const float weight = layer.weight[slot];
#pragma unroll
      for (int i = 0; i < kColumns; ++i) {
        sums[i] = fmaf(weight, columns[i], sums[i]);
        dot = fmaf(inputs[i], columns[i], dot);
      }
      if (parts) parts[slot] = first ? dot : parts[slot] + dot;
    }
    straighten(sums, half);
    const Share<kLanes> share = reduce<kLanes>(sums, lane);
    if (!row.there || !share.owner) continue;
#pragma unroll
    for (int i = 0; i < Share<kLanes>::held; ++i) below[row.number * kColumns + share.first + i] = sums[i];
  }
}

#define FOR_LANES(lanes, call) \
  switch (lanes) {             \
    case 1: call(1); break;    \
    case 2: call(2); break;    \
    case 4: call(4); break;    \
    case 8: call(8); break;    \
    case 16: call(16); break;  \
    default: call(32); break;  \
  }

}  // namespace

// x, [batch, inputs], to y, [batch, outputs]. `workspace` gets the activations of all boundaries, where it is given.
extern "C" __global__ void chain_forward(const __grid_constant__ Chain chain, const float* x, float* workspace, float* y) {
  float *below = reinterpret_cast<float*>(slab), *above = below + chain.tallest * kColumns;
  const int tiles = tiles_of(chain.batch);
  for (int tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
    __syncthreads();  // the tile before has been written
    read_tile(x, chain.batch, chain.layer[0].cols, tile, below);
    __syncthreads();
    int before = 0;
    for (int l = 0; l < chain.layers; ++l) {
      const ChainLayer& layer = chain.layer[l];
      if (workspace) keep_tile(below, layer.cols, workspace + tile_at(before, layer.cols, tile, tiles));
#define UP(lanes) up<lanes>(layer, below, above)
      FOR_LANES(layer.by_output.lanes, UP)
#undef UP
      __syncthreads();
      float* swapped = below;
      below = above, above = swapped;
      before += layer.cols;
    }
    const int outputs = chain.layer[chain.layers - 1].rows;
    if (workspace) keep_tile(below, outputs, workspace + tile_at(before, outputs, tile, tiles));
    write_tile(below, chain.batch, outputs, tile, y);
  }
}

// From grad_y, [batch, outputs], to grad_x, [batch, inputs], where that is wanted, and to `parts`, [blocks][chain.parts],
// of the parameters' gradients. `gradients` gets those of all layers' sums, where it is given.
extern "C" __global__ void chain_backward(
    const __grid_constant__ Chain chain, const float* workspace, const float* grad_y, float* grad_x, float* parts, float* gradients) {
  float *above = reinterpret_cast<float*>(slab), *below = above + chain.tallest * kColumns;
  float* mine = parts + static_cast<long long>(blockIdx.x) * chain.parts;
  const int tiles = tiles_of(chain.batch);
  int features = 0;
  for (int l = 0; l < chain.layers; ++l) features += chain.layer[l].cols;
  for (int tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
    const bool first = tile == static_cast<int>(blockIdx.x);
    __syncthreads();  // the tile before has been written
    read_tile(grad_y, chain.batch, chain.layer[chain.layers - 1].rows, tile, above);
    int before = features;
    for (int l = chain.layers - 1; l >= 0; --l) {
      const ChainLayer& layer = chain.layer[l];
      const float* outputs = workspace + tile_at(before, layer.rows, tile, tiles);
      __syncthreads();
      for (int k = threadIdx.x; k < kColumns * layer.rows; k += blockDim.x) {
        above[k] *= derivative(outputs[k], layer.activation);
      }
      __syncthreads();
      if (gradients) keep_tile(above, layer.rows, gradients + tile_at(before, layer.rows, tile, tiles));
      if (layer.grad_bias) {
        for (int row = threadIdx.x; row < layer.rows; row += blockDim.x) {
          float sum = 0.0f;
          for (int i = 0; i < kColumns; ++i) sum += above[row * kColumns + i];
          float& part = mine[layer.bias_offset + row];
          part = first ? sum : part + sum;
        }
      }
      before -= layer.cols;
      const float* inputs = workspace + tile_at(before, layer.cols, tile, tiles);
      float* weights = layer.grad_weight ? mine + layer.weight_offset : nullptr;
      if (l == 0 && !weights && !grad_x) break;
#define DOWN(lanes) down<lanes>(layer, above, inputs, below, weights, first)
      FOR_LANES(layer.by_input.lanes, DOWN)
#undef DOWN
      float* swapped = above;
      above = below, below = swapped;
    }
    __syncthreads();
    if (grad_x) write_tile(above, chain.batch, chain.layer[0].cols, tile, grad_x);
  }
}

// The parameters' gradients: sums over `blocks` of their parts. A thread for each of chain.parts.
extern "C" __global__ void chain_sum(const __grid_constant__ Chain chain, int blocks, const float* parts) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= chain.parts) return;
  float sum = 0.0f;
  for (int block = 0; block < blocks; ++block) sum += parts[static_cast<long long>(block) * chain.parts + i];
  for (int l = 0; l < chain.layers; ++l) {
    const ChainLayer& layer = chain.layer[l];
    const int weight = i - layer.weight_offset, bias = i - layer.bias_offset;
    if (layer.grad_weight && weight >= 0 && weight < layer.connections) layer.grad_weight[weight] = sum;
    if (layer.grad_bias && bias >= 0 && bias < layer.rows) layer.grad_bias[bias] = sum;
  }
}
