// The C interface: choosing an instruction set, checking topologies, building plans.
#include <new>
#include <stdlib.h>
#include <string.h>
#include <vector>

#ifdef _OPENMP
#include <omp.h>
#endif

#include "arena.h"
#include "plan.h"

namespace sparse_agents {

namespace baseline { extern const KernelTable table; }
#ifdef SA_HAVE_AVX2
namespace avx2 { extern const KernelTable table; }
#endif
#ifdef SA_HAVE_AVX512
namespace avx512 { extern const KernelTable table; }
#endif

namespace {

struct Arena {
  void *memory = nullptr;
  size_t size = 0;
  ~Arena() { free(memory); }
};

struct Candidate {
  const KernelTable *table;
  bool supported;
};

// Fastest first.
std::vector<Candidate> candidates() {
  std::vector<Candidate> list;
#ifdef SA_HAVE_AVX512
  list.push_back({&avx512::table, __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw")});
#endif
#ifdef SA_HAVE_AVX2
  list.push_back({&avx2::table, __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")});
#endif
  list.push_back({&baseline::table, true});
  return list;
}

const KernelTable *find(const char *name) {
  for (const Candidate &c : candidates())
    if (c.supported && (!name || strcmp(c.table->name, name) == 0)) return c.table;
  return nullptr;
}

const KernelTable *&current() {
  static const KernelTable *table = find(nullptr);
  return table;
}

size_t element_bytes(const Plan &plan) { return plan.dtype == SA_FLOAT32 ? 4 : 8; }

} // namespace

void *scratch(size_t bytes) {
  static thread_local Arena arena;
  if (bytes > arena.size) {
    free(arena.memory);
    arena.size = 0;
    arena.memory = nullptr;
    const size_t size = aligned(bytes + bytes / 4);
    if (posix_memalign(&arena.memory, kAlignment, size) != 0) return arena.memory = nullptr;
    arena.size = size;
  }
  return arena.memory;
}

const KernelTable &kernels() { return *current(); }

int32_t thread_number() {
#ifdef _OPENMP
  return omp_get_thread_num();
#else
  return 0;
#endif
}

} // namespace sparse_agents

using namespace sparse_agents;

struct sa_network {
  Plan plan;
  const KernelTable *kernels; // fixed at creation: workspaces depend on the vector width
  std::vector<Layer> layers;
  std::vector<std::vector<int32_t>> cuts;               // owned block boundaries
  std::vector<std::vector<const int32_t *>> boundaries; // per layer and direction
};

namespace {

// Column blocks pay where a tile of the other side overflows the first-level cache and a row still
// has enough connections per block to earn the extra load and store of its sum.
constexpr int64_t kBlockBytes = 32768;
constexpr int64_t kConnectionsPerBlock = 12;

Blocks blocked(sa_network &network, int32_t rows, int32_t cols, int64_t nnz, const int32_t *ptr,
               const int32_t *index) {
  const int64_t feature_bytes = int64_t(kNarrowTile) * network.kernels->vector_bytes;
  int64_t count = cols * feature_bytes / kBlockBytes;
  const int64_t affordable = nnz / (int64_t(rows) * kConnectionsPerBlock);
  if (count > affordable) count = affordable;
  if (count < 1) count = 1;
  std::vector<const int32_t *> bound(count + 1);
  bound[0] = ptr;
  bound[count] = ptr + 1;
  const int64_t width = (cols + count - 1) / count;
  for (int64_t b = 1; b < count; b++) {
    std::vector<int32_t> cut(rows);
    for (int32_t i = 0; i < rows; i++) {
      int32_t k = bound[b - 1][i];
      while (k < ptr[i + 1] && index[k] < b * width) k++;
      cut[i] = k;
    }
    network.cuts.push_back(std::move(cut));
    bound[b] = network.cuts.back().data();
  }
  network.boundaries.push_back(std::move(bound));
  Blocks blocks;
  blocks.count = int32_t(count);
  blocks.bound = network.boundaries.back().data();
  return blocks;
}

sa_status check_pointers(int32_t n, int64_t nnz, const int32_t *ptr) {
  if (ptr[0] != 0 || ptr[n] != nnz) return SA_BAD_ROW_POINTER;
  for (int32_t i = 0; i < n; i++)
    if (ptr[i] > ptr[i + 1]) return SA_BAD_ROW_POINTER;
  return SA_OK;
}

} // namespace

extern "C" {

sa_status sa_layer_check(const sa_layer *layer) {
  const sa_layer &e = *layer;
  if (e.rows < 1 || e.cols < 1) return SA_BAD_ARGUMENT;
  const int64_t nnz = e.row_ptr[e.rows];
  if (nnz < 0) return SA_BAD_ROW_POINTER;
  if (check_pointers(e.rows, nnz, e.row_ptr) != SA_OK) return SA_BAD_ROW_POINTER;
  for (int32_t i = 0; i < e.rows; i++)
    for (int32_t k = e.row_ptr[i]; k < e.row_ptr[i + 1]; k++)
      if (e.col[k] < 0 || e.col[k] >= e.cols || (k > e.row_ptr[i] && e.col[k] <= e.col[k - 1]))
        return SA_BAD_COLUMN;
  if (check_pointers(e.cols, nnz, e.col_ptr) != SA_OK) return SA_BAD_TRANSPOSE;
  for (int32_t j = 0; j < e.cols; j++)
    for (int32_t k = e.col_ptr[j]; k < e.col_ptr[j + 1]; k++) {
      const int32_t i = e.row[k], s = e.slot[k];
      if (i < 0 || i >= e.rows || (k > e.col_ptr[j] && i <= e.row[k - 1])) return SA_BAD_TRANSPOSE;
      if (s < e.row_ptr[i] || s >= e.row_ptr[i + 1] || e.col[s] != j) return SA_BAD_TRANSPOSE;
    }
  return SA_OK;
}

const char *sa_isa(void) { return current()->name; }

int32_t sa_isa_supported(const char *name) { return find(name) != nullptr; }

sa_status sa_isa_select(const char *name) {
  const KernelTable *table = find(name);
  if (!table) return SA_BAD_ARGUMENT;
  current() = table;
  return SA_OK;
}

sa_status sa_network_create(const sa_layer *layers, int32_t count, int32_t dtype, sa_network **out) {
  if (count < 1 || count > kMaxLayers || (dtype != SA_FLOAT32 && dtype != SA_FLOAT64))
    return SA_BAD_ARGUMENT;
  for (int32_t l = 1; l < count; l++)
    if (layers[l].cols != layers[l - 1].rows) return SA_BAD_ARGUMENT;
  try {
    sa_network *network = new sa_network();
    network->kernels = current();
    network->layers.resize(count);
    int64_t features = layers[0].cols, tallest = layers[0].cols, connections = 0;
    for (int32_t l = 0; l < count; l++) {
      Layer &layer = network->layers[l];
      layer.edges = layers[l];
      layer.nnz = layers[l].row_ptr[layers[l].rows];
      layer.input_offset = features - layers[l].cols;
      layer.output_offset = features;
      layer.by_row = blocked(*network, layers[l].rows, layers[l].cols, layer.nnz, layers[l].row_ptr,
                             layers[l].col);
      layer.by_col = blocked(*network, layers[l].cols, layers[l].rows, layer.nnz, layers[l].col_ptr,
                             layers[l].row);
      features += layers[l].rows;
      connections += layer.nnz;
      if (layers[l].rows > tallest) tallest = layers[l].rows;
    }
    for (Layer &layer : network->layers) {
      if (!(layer.edges.activation & SA_LAYER_NORM)) continue;
      layer.norm_offset = features;
      features += layer.edges.rows + 1;
    }
    network->plan = {count, dtype, features, tallest, connections, network->layers.data()};
    *out = network;
    return SA_OK;
  } catch (const std::bad_alloc &) {
    return SA_OUT_OF_MEMORY;
  }
}

void sa_network_destroy(sa_network *network) { delete network; }

int64_t sa_tile_width(const sa_network *network, int64_t batch) {
  return tile_vectors(network->plan, batch) * int64_t(network->kernels->vector_bytes / element_bytes(network->plan));
}

int64_t sa_workspace_bytes(const sa_network *network, int64_t batch) {
  const int64_t lanes = network->kernels->vector_bytes / int64_t(element_bytes(network->plan));
  const int64_t padded = (batch + lanes - 1) / lanes * lanes;
  return padded * network->plan.features * int64_t(element_bytes(network->plan));
}

sa_status sa_network_forward(const sa_network *network, int64_t batch, const void *x,
                             const void *const *weight, const void *const *bias, void *workspace,
                             void *y, int32_t threads) {
  if (batch < 1 || threads < 1 || (!x && !workspace) || (!y && !workspace)) return SA_BAD_ARGUMENT;
  return network->kernels->forward[network->plan.dtype](network->plan, batch, x, weight, bias,
                                                        workspace, y, threads);
}

sa_status sa_network_backward(const sa_network *network, int64_t batch, const void *workspace,
                              const void *const *weight, const void *grad_y, void *grad_x,
                              int32_t input_gradient, void *const *grad_weight,
                              void *const *grad_bias, void *grad_workspace, int32_t threads) {
  if (batch < 1 || threads < 1 || !workspace || (!grad_y && !grad_workspace)) return SA_BAD_ARGUMENT;
  return network->kernels->backward[network->plan.dtype](network->plan, batch, workspace, weight,
                                                         grad_y, grad_x, input_gradient, grad_weight,
                                                         grad_bias, grad_workspace, threads);
}

sa_status sa_network_fit(const sa_network *network, int64_t batch, const void *x, const void *const *weight,
                         const void *const *bias, const void *target, double scale,
                         void *const *grad_weight, void *const *grad_bias, double *loss, int32_t threads) {
  if (batch < 1 || threads < 1 || !x || !target || !loss) return SA_BAD_ARGUMENT;
  return network->kernels->fit[network->plan.dtype](network->plan, batch, x, weight, bias, target, scale, grad_weight,
                                                    grad_bias, loss, threads);
}

sa_status sa_network_ascend(const sa_network *actor, const sa_network *critic, int64_t batch, const void *x,
                            const void *const *weight, const void *const *bias, const void *const *critic_weight,
                            const void *const *critic_bias, double scale, void *const *grad_weight,
                            void *const *grad_bias, double *mean, int32_t threads) {
  if (batch < 1 || threads < 1 || !x || !mean) return SA_BAD_ARGUMENT;
  if (actor->kernels != critic->kernels || actor->plan.dtype != critic->plan.dtype) return SA_BAD_ARGUMENT;
  return actor->kernels->ascend[actor->plan.dtype](actor->plan, critic->plan, batch, x, weight, bias, critic_weight,
                                                   critic_bias, scale, grad_weight, grad_bias, mean, threads);
}

} // extern "C"
