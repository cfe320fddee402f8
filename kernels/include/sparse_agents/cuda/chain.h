// Small networks as kernels/cuda/chain.cu takes them.
#pragma once

namespace sparse_agents {

constexpr int kMostLayers = 8, kMostChains = 2;

// One direction of a layer: rows of connections that lead to features. `lanes` threads share out a row.
struct Direction {
  int lanes;
  const int *row_ptr, *feature, *slot;
};

struct ChainLayer {
  int rows, cols, connections, activation;
  Direction by_output, by_input;
  const float *weight, *bias;      // bias may be null
  float *grad_weight, *grad_bias;  // null where not wanted
  int weight_offset, bias_offset;  // of their partial sums, among those of the network
};

struct Chain {
  int layers;
  int parts;                // partial sums of the network
  const float *x, *grad_y;  // [batch, inputs], [batch, outputs]
  float *y, *grad_x;        // the same; null where not wanted
  float *workspace;         // activations of all boundaries, then what normalised layers keep; null where not wanted
  float *gradients;         // of all layers' sums; null where not wanted
  float *partial;           // [blocks][parts]
  ChainLayer layer[kMostLayers];
};

// Networks of one launch, each with blocks of its own, or all of them with the same.
struct Chains {
  int batch;
  int tallest;   // most features at a boundary
  int scratch;   // numbers of shared memory for sums over a block
  int kept;      // numbers of activations that are kept in shared memory, of one tile; 0: in the workspace
  int staged;    // connections of a network that have room in shared memory; 0: they are read from where they are
  double scale;  // of a loss
  const float* target;
  double *losses, *loss;  // [blocks] for each network; their sum is added to the second
  Chain chain[kMostChains];
};

}  // namespace sparse_agents
