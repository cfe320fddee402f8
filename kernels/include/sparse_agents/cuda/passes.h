// A tile of samples through all layers of a small network, forward and backward, by one block. What a layer reads and what it
// makes lie in shared memory, in two slabs that change places.
#pragma once

#include "sparse_agents/cuda/activation.h"
#include "sparse_agents/cuda/chain.h"
#include "sparse_agents/cuda/columns.h"
#include "sparse_agents/cuda/norm.h"
#include "sparse_agents/cuda/reduce.h"
#include "sparse_agents/cuda/tiles.h"

namespace sparse_agents {

// Two slabs: of what is read, and of what is made of it; and room for sums over the block.
struct Slabs {
  float *from, *to, *scratch;
  __device__ __forceinline__ void swap() {
    float* other = from;
    from = to, to = other;
  }
};

// Where features of all boundaries of a tile lie: [boundaries][tiles][features][kColumns]; behind the last boundary, what
// normalised layers keep in the same way, see normalise(). Nowhere, if `memory` is null.
struct Boundaries {
  float* memory;
  int tile, tiles;
  // Of the boundary that `before` features are before.
  __device__ __forceinline__ float* at(int before, int features) const {
    return memory + (static_cast<long long>(before) * tiles + static_cast<long long>(features) * tile) * kColumns;
  }
};

// Room for a direction of all layers of a network in shared memory.
struct Stage {
  float* weight;  // null: there is none
  int *feature, *slot;
};

// A layer's connections, in the order of a direction: from a stage, or from memory, where weights lie in order of slots.
struct Entries {
  const float* weight;
  const int *feature, *slot;
  bool staged;
  __device__ __forceinline__ Entries(const ChainLayer& layer, const Direction& way, const Stage& stage, int before)
      : weight(stage.weight ? stage.weight + before : layer.weight),
        feature(stage.weight ? stage.feature + before : way.feature),
        slot(stage.weight ? stage.slot + before : way.slot),
        staged(stage.weight != nullptr) {}
  __device__ __forceinline__ float value(int entry) const { return weight[staged ? entry : slot[entry]]; }
};

// A direction of all layers to its stage. Barriers before and after are the caller's.
template <Direction ChainLayer::*direction>
__device__ void fill(const Stage& stage, const Chain& chain) {
  if (!stage.weight) return;
  int before = 0;
  for (int l = 0; l < chain.layers; ++l) {
    const ChainLayer& layer = chain.layer[l];
    const Direction& way = layer.*direction;
#pragma unroll 4
    for (int k = threadIdx.x; k < layer.connections; k += blockDim.x) {
      const int slot = way.slot[k];
      stage.weight[before + k] = layer.weight[slot];
      stage.feature[before + k] = way.feature[k];
      stage.slot[before + k] = slot;
    }
    before += layer.connections;
  }
}

// Samples of `matrix`, [batch, features], as a tile; beyond the batch there are zeros.
__device__ __forceinline__ void read_tile(const float* matrix, int batch, int features, int tile, float* to) {
  for (int k = threadIdx.x; k < kColumns * features; k += blockDim.x) {
    const int column = k / features, feature = k % features, sample = tile * kColumns + column;
    to[feature * kColumns + column] =
        sample < batch ? matrix[static_cast<long long>(sample) * features + feature] : 0.0f;
  }
}

__device__ __forceinline__ void write_tile(const float* from, int batch, int features, int tile, float* matrix) {
  for (int k = threadIdx.x; k < kColumns * features; k += blockDim.x) {
    const int column = k / features, feature = k % features, sample = tile * kColumns + column;
    if (sample < batch) matrix[static_cast<long long>(sample) * features + feature] = from[feature * kColumns + column];
  }
}

__device__ __forceinline__ void copy_tile(const float* from, int features, float* to) {
  for (int k = threadIdx.x; k < kColumns * features; k += blockDim.x) to[k] = from[k];
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

// A layer's outputs, or its sums where they are to be normalised, from what is below it.
template <int kLanes>
__device__ void up(const ChainLayer& layer, const Entries& entries, const float* below, float* above) {
  const int lane = threadIdx.x % kLanes, groups = blockDim.x / kLanes, half = half_read_first(threadIdx.x);
  const float4* source = reinterpret_cast<const float4*>(below);
  for (int base = 0; base < layer.rows; base += groups) {
    const Row row(layer.by_output, base + threadIdx.x / kLanes, layer.rows);
    float sums[kColumns] = {};
#pragma unroll 4
    for (int entry = row.begin + lane; entry < row.end; entry += kLanes) {
      float columns[kColumns];
      load(source + entries.feature[entry] * (kColumns / 4), half, columns);
      const float weight = entries.value(entry);
#pragma unroll
      for (int i = 0; i < kColumns; ++i) sums[i] = fmaf(weight, columns[i], sums[i]);
    }
    straighten(sums, half);
    const Share<kLanes> share = reduce<kLanes>(sums, lane);
    if (!row.there || !share.owner) continue;
    const float bias = layer.bias ? layer.bias[row.number] : 0.0f;
#pragma unroll
    for (int i = 0; i < Share<kLanes>::held; ++i) {
      const float sum = sums[i] + bias;
      float& out = above[row.number * kColumns + share.first + i];
      out = normalises(layer.activation) ? sum : activated(sum, layer.activation);
    }
  }
}

// From the gradient of a layer's sums to that of its inputs, and of its weights where these are wanted: added to `parts`,
// but for a block's `first` tile.
template <int kLanes>
__device__ void down(
    const ChainLayer& layer, const Entries& entries, const float* above, const float* input, float* below, float* parts,
    bool first) {
  const int lane = threadIdx.x % kLanes, groups = blockDim.x / kLanes, half = half_read_first(threadIdx.x);
  const float4* source = reinterpret_cast<const float4*>(above);
  for (int base = 0; base < layer.cols; base += groups) {
    const Row row(layer.by_input, base + threadIdx.x / kLanes, layer.cols);
    float sums[kColumns] = {}, inputs[kColumns] = {};
    if (row.there && parts) load(reinterpret_cast<const float4*>(input) + row.number * (kColumns / 4), half, inputs);
#pragma unroll 4
    for (int entry = row.begin + lane; entry < row.end; entry += kLanes) {
      float columns[kColumns], dot = 0.0f;
      load(source + entries.feature[entry] * (kColumns / 4), half, columns);
      const float weight = entries.value(entry);
#pragma unroll
      for (int i = 0; i < kColumns; ++i) {
        sums[i] = fmaf(weight, columns[i], sums[i]);
        dot = fmaf(inputs[i], columns[i], dot);
      }
      if (!parts) continue;
      float& part = parts[entries.slot[entry]];
      part = first ? dot : part + dot;
    }
    straighten(sums, half);
    const Share<kLanes> share = reduce<kLanes>(sums, lane);
    if (!row.there || !share.owner) continue;
#pragma unroll
    for (int i = 0; i < Share<kLanes>::held; ++i) below[row.number * kColumns + share.first + i] = sums[i];
  }
}

#define SA_FOR_LANES(lanes, call) \
  switch (lanes) {                \
    case 1: call(1); break;       \
    case 2: call(2); break;       \
    case 4: call(4); break;       \
    case 8: call(8); break;       \
    case 16: call(16); break;     \
    default: call(32); break;     \
  }

// Features at all boundaries, and what normalised layers keep.
struct Kept {
  int boundaries, normalised;
  __device__ __forceinline__ explicit Kept(const Chain& chain) : boundaries(chain.layer[0].cols), normalised(0) {
    for (int l = 0; l < chain.layers; ++l) {
      const ChainLayer& layer = chain.layer[l];
      boundaries += layer.rows;
      if (normalises(layer.activation)) normalised += layer.rows + 1;
    }
  }
};

// From the input in slabs.from to the output in slabs.from, through the connections that `stage` has been filled with.
__device__ inline void forward(const Chain& chain, const Stage& stage, const Boundaries& kept, Slabs& slabs) {
  __syncthreads();
  int before = 0, connections = 0, normalised = Kept(chain).boundaries;
  for (int l = 0; l < chain.layers; ++l) {
    const ChainLayer& layer = chain.layer[l];
    const Entries entries(layer, layer.by_output, stage, connections);
    if (kept.memory) copy_tile(slabs.from, layer.cols, kept.at(before, layer.cols));
#define SA_UP(lanes) up<lanes>(layer, entries, slabs.from, slabs.to)
    SA_FOR_LANES(layer.by_output.lanes, SA_UP)
#undef SA_UP
    __syncthreads();
    slabs.swap();
    if (normalises(layer.activation)) {
      float* keep = kept.memory ? kept.at(normalised, layer.rows + 1) : nullptr;
      normalise(layer.rows, function_of(layer.activation), slabs.from, keep, slabs.scratch);
      normalised += layer.rows + 1;
      __syncthreads();
    }
    before += layer.cols;
    connections += layer.connections;
  }
  const int outputs = chain.layer[chain.layers - 1].rows;
  if (kept.memory) copy_tile(slabs.from, outputs, kept.at(before, outputs));
}

// From the output's gradient in slabs.from to the input's in slabs.from, where that is wanted; to the network's `parts` of
// this block, where these are wanted, and to `gradients` of all layers' sums.
__device__ inline void backward(
    const Chain& chain, const Stage& stage, const Boundaries& kept, const Boundaries& gradients, Slabs& slabs,
    bool input_gradient, float* parts, bool first) {
  const Kept all(chain);
  int before = all.boundaries, connections = 0, normalised = all.boundaries + all.normalised;
  for (int l = 0; l < chain.layers; ++l) connections += chain.layer[l].connections;
  for (int l = chain.layers - 1; l >= 0; --l) {
    const ChainLayer& layer = chain.layer[l];
    before -= layer.rows;
    const float* outputs = kept.at(before, layer.rows);
    connections -= layer.connections;
    const Entries entries(layer, layer.by_input, stage, connections);
    __syncthreads();
    for (int k = threadIdx.x; k < kColumns * layer.rows; k += blockDim.x) {
      slabs.from[k] *= derivative(outputs[k], function_of(layer.activation));
    }
    if (normalises(layer.activation)) {
      normalised -= layer.rows + 1;
      normalised_gradient(layer.rows, kept.at(normalised, layer.rows + 1), slabs.from, slabs.scratch);
    }
    __syncthreads();
    if (gradients.memory) copy_tile(slabs.from, layer.rows, gradients.at(before, layer.rows));
    if (parts && layer.grad_bias) {
      for (int row = threadIdx.x; row < layer.rows; row += blockDim.x) {
        float sum = 0.0f;
        for (int i = 0; i < kColumns; ++i) sum += slabs.from[row * kColumns + i];
        float& part = parts[layer.bias_offset + row];
        part = first ? sum : part + sum;
      }
    }
    float* weights = parts && layer.grad_weight ? parts + layer.weight_offset : nullptr;
    if (l == 0 && !weights && !input_gradient) break;
    const float* inputs = kept.at(before - layer.cols, layer.cols);
#define SA_DOWN(lanes) down<lanes>(layer, entries, slabs.from, inputs, slabs.to, weights, first)
    SA_FOR_LANES(layer.by_input.lanes, SA_DOWN)
#undef SA_DOWN
    slabs.swap();
  }
  __syncthreads();
}

}  // namespace sparse_agents
