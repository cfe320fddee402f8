// A small network as kernels/cuda/chain.cu takes it.
#pragma once

namespace sparse_agents {

constexpr int kMostLayers = 8;

// One direction of a layer: rows of connections that lead to features. `lanes` threads share out a row.
struct Direction {
  int lanes;
  const int *row_ptr, *feature, *slot;
};

struct ChainLayer {
  int rows, cols, connections, activation;
  Direction by_output, by_input;
  const float *weight, *bias;         // bias may be null
  float *grad_weight, *grad_bias;     // null where not wanted
  int weight_offset, bias_offset;     // of their partial sums, among those of the network
};

struct Chain {
  int layers, tallest;                // most features at a boundary
  int batch;
  int parts;                          // partial sums of the network
  ChainLayer layer[kMostLayers];
};

}  // namespace sparse_agents
