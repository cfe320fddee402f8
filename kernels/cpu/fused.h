// Backwards that make their own forward, tile by tile: what a tile leaves is used while it is in the cache.
#pragma once
#include "backward.h"

namespace sparse_agents {
namespace SA_ISA {

// Elements of a tile's activations.
template <class T> int64_t tile_size(const Plan &plan, int64_t width) { return padded<T>(plan.features * width); }

// By scale times the mean squared error of one output.
template <class T> struct Fitted {
  const Plan &plan;
  const T *x, *target;
  const void *const *weight, *const *bias;
  int64_t width;
  T scale;        // of an error in the gradient
  double *losses; // sums of squares, by group

  int64_t shared_size() const { return 0; }
  void prepare(T *) const {}
  int64_t private_size() const { return tile_size<T>(plan, width); }
  const T *activations(const Tile<T> &tile, T *base) const {
    tile_forward<T>(plan, tile, x, weight, bias, base);
    return base;
  }
  void output_gradient(const Tile<T> &tile, int64_t group, int64_t, const T *y, const T *, T *, T *grad) const {
    for (int64_t i = 0; i < tile.samples; i++) {
      const T error = y[i] - target[tile.first + i];
      grad[i] = scale * error;
      losses[group] += double(error) * double(error);
    }
    for (int64_t i = tile.samples; i < tile.width; i++) grad[i] = 0;
  }
};

// Of an actor, by scale times the mean of what a critic says of the input with the actor's output behind it.
template <class T> struct Ascended {
  const Plan &actor, &critic;
  const T *x;
  const void *const *weight, *const *bias, *const *critic_weight, *const *critic_bias;
  int64_t width;
  T slope;        // of the mean, by a sample
  double *totals; // of the critic's outputs, by group
  Tasks tasks;    // the critic's

  int64_t shared_size() const { return tasks.csc_size; }
  void prepare(T *shared) const { fill_by_column(critic, tasks, critic_weight, shared); }
  int64_t private_size() const {
    return tile_size<T>(actor, width) + tile_size<T>(critic, width) + Alternating<T>::size(critic, width);
  }
  const T *activations(const Tile<T> &tile, T *base) const {
    tile_forward<T>(actor, tile, x, weight, bias, base);
    return base;
  }
  // memory begins with the actor's activations, these with its input.
  void output_gradient(const Tile<T> &tile, int64_t group, int64_t actions, const T *action, const T *shared,
                       T *memory, T *grad) const {
    const int64_t before = actor.layers[0].edges.cols * tile.width, size = actions * tile.width;
    T *base = memory + tile_size<T>(actor, width);
    const Alternating<T> gradient(critic, tile.width, base + tile_size<T>(critic, width));
    memcpy(base, memory, before * sizeof(T));
    memcpy(base + before, action, size * sizeof(T));
    tile_forward<T>(critic, tile, nullptr, critic_weight, critic_bias, base);
    const T *value = base + critic.layers[critic.count - 1].output_offset * tile.width;
    for (int64_t i = 0; i < tile.samples; i++) totals[group] += double(value[i]);
    for (int64_t i = 0; i < tile.width; i++) gradient(critic.count)[i] = i < tile.samples ? slope : T(0);
    Descent<T>{critic, tasks, shared}.run(tile, base, gradient, nullptr);
    memcpy(grad, gradient(0) + before, size * sizeof(T));
  }
};

inline double sum_of_groups(const double (&by_group)[kMaxGroups]) {
  double total = 0;
  for (double one : by_group) total += one;
  return total;
}

template <class T>
sa_status fit(const Plan &plan, int64_t batch, const void *x, const void *const *weight, const void *const *bias,
              const void *target, double scale, void *const *grad_weight, void *const *grad_bias, double *loss,
              int32_t threads) {
  if (plan.layers[plan.count - 1].edges.rows != 1) return SA_BAD_ARGUMENT;
  double losses[kMaxGroups] = {};
  const Fitted<T> fitted = {plan, static_cast<const T *>(x), static_cast<const T *>(target), weight, bias,
                            tile_width<T>(plan, batch, threads), T(2 * scale / double(batch)), losses};
  const sa_status status =
      backward_from<T>(fitted, plan, batch, weight, nullptr, 0, grad_weight, grad_bias, nullptr, threads);
  if (status == SA_OK) *loss += scale * sum_of_groups(losses) / double(batch);
  return status;
}

template <class T>
sa_status ascend(const Plan &actor, const Plan &critic, int64_t batch, const void *x, const void *const *weight,
                 const void *const *bias, const void *const *critic_weight, const void *const *critic_bias, double scale,
                 void *const *grad_weight, void *const *grad_bias, double *mean, int32_t threads) {
  const int32_t observed = actor.layers[0].edges.cols, actions = actor.layers[actor.count - 1].edges.rows;
  if (critic.layers[0].edges.cols != observed + actions || critic.layers[critic.count - 1].edges.rows != 1)
    return SA_BAD_ARGUMENT;
  double totals[kMaxGroups] = {};
  Ascended<T> ascended = {actor, critic, static_cast<const T *>(x), weight, bias, critic_weight, critic_bias,
                          tile_width<T>(actor, batch, threads), T(scale / double(batch)), totals,
                          tasks_of<T>(critic, true, nullptr, nullptr)};
  ascended.tasks.first_input = observed;
  const sa_status status =
      backward_from<T>(ascended, actor, batch, weight, nullptr, 0, grad_weight, grad_bias, nullptr, threads);
  if (status == SA_OK) *mean += scale * sum_of_groups(totals) / double(batch);
  return status;
}

} // namespace SA_ISA
} // namespace sparse_agents
