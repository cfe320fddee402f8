// The C interface of the CPU kernels: a chain of sparse layers, forward and backward.
//
// A layer is y = activation(W x + b), or activation(norm(W x + b)), with W stored as its connections alone, in row-major (CSR) slot
// order; the column-major (CSC) view is needed for gradients. Index arrays are borrowed: the caller
// keeps them alive and unchanged for as long as the network lives.
//
// Inside, activations are kept feature-major in batch tiles: tile t holds sa_tile_width() samples of
// every layer, input first, each feature contiguous over the samples of the tile; then, of normalised layers, the
// normalised sums and their scale. The last tile is
// only as wide as its samples need, rounded up to a whole vector; the padding of inputs and gradients is zero.
// Workspaces are aligned to 64 bytes.
#pragma once
#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum { SA_IDENTITY = 0, SA_RELU = 1, SA_TANH = 2 } sa_activation;

// Added to an activation: before it, every sample's sums get mean 0 and variance 1 over the layer's rows.
#define SA_LAYER_NORM 16

typedef enum {
  SA_OK = 0,
  SA_OUT_OF_MEMORY = 1,
  SA_BAD_ARGUMENT = 2,
  SA_BAD_ROW_POINTER = 3,
  SA_BAD_COLUMN = 4,   // out of range, or not strictly increasing within its row
  SA_BAD_TRANSPOSE = 5 // the CSC view does not describe the same connections
} sa_status;

typedef struct {
  int32_t rows, cols, activation;
  const int32_t *row_ptr, *col;        // CSR: [rows + 1], [nnz]
  const int32_t *col_ptr, *row, *slot; // CSC: [cols + 1], [nnz], [nnz] (CSR slot of each entry)
} sa_layer;

// Bounds, order and agreement of both views. O(nnz).
sa_status sa_layer_check(const sa_layer *layer);

// The instruction set in use ("avx512", "avx2", "baseline"), and how to force one.
const char *sa_isa(void);
sa_status sa_isa_select(const char *name);
int32_t sa_isa_supported(const char *name);

sa_status sa_network_create(const sa_layer *layers, int32_t count, int32_t dtype, sa_network **out);
void sa_network_destroy(sa_network *network);

// Samples in one full tile of a batch, and bytes of the activations (or of the gradients) of a batch.
int64_t sa_tile_width(const sa_network *network, int64_t batch);
int64_t sa_workspace_bytes(const sa_network *network, int64_t batch);

// x: [batch, in] row-major, or NULL when the workspace already holds the input tiles.
// y: [batch, out] row-major, or NULL to leave the output in the workspace.
// workspace: kept for the backward, or NULL when no gradient is wanted.
// bias[l] may be NULL.
sa_status sa_network_forward(const sa_network *network, int64_t batch, const void *x,
                             const void *const *weight, const void *const *bias, void *workspace,
                             void *y, int32_t threads);

// grad_y: [batch, out], or NULL when grad_workspace already holds the tiles of the output gradient.
// grad_x: [batch, in], or NULL; input_gradient asks for it in the grad_workspace all the same.
// grad_weight[l], grad_bias[l]: CSR slot order, or NULL where not wanted.
// grad_workspace: NULL, or receives the gradient of every layer's pre-activation (and of the input).
sa_status sa_network_backward(const sa_network *network, int64_t batch, const void *workspace,
                              const void *const *weight, const void *grad_y, void *grad_x,
                              int32_t input_gradient, void *const *grad_weight,
                              void *const *grad_bias, void *grad_workspace, int32_t threads);

// A forward over x: [batch, in], and the backward of scale times the mean squared error against target: [batch], of
// a network with one output, tile by tile: what a tile leaves is used while it is in the cache. Added to *loss;
// grad_weight[l] and grad_bias[l] as in sa_network_backward.
sa_status sa_network_fit(const sa_network *network, int64_t batch, const void *x, const void *const *weight,
                         const void *const *bias, const void *target, double scale,
                         void *const *grad_weight, void *const *grad_bias, double *loss, int32_t threads);

// A forward of the actor over x: [batch, in], one of the critic over x with the actor's output behind it, and the
// backward of scale times the mean of the critic's one output to the actor's parameters, tile by tile. Added to *mean;
// grad_weight[l] and grad_bias[l], the actor's, as in sa_network_backward. Both of one type and instruction set.
sa_status sa_network_ascend(const sa_network *actor, const sa_network *critic, int64_t batch, const void *x,
                            const void *const *weight, const void *const *bias, const void *const *critic_weight,
                            const void *const *critic_bias, double scale, void *const *grad_weight,
                            void *const *grad_bias, double *mean, int32_t threads);

#ifdef __cplusplus
}
#endif
