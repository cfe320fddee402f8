// Runs a list of operations.
#include "plan.h"

using namespace sparse_agents;

namespace {

sa_status run(const sa_operation *operation, int32_t dtype, int32_t threads) {
  const void *op = operation;
  if (operation->kind == SA_FORWARD) {
    const sa_forward &f = *static_cast<const sa_forward *>(op);
    return sa_network_forward(f.network, f.batch, f.x, f.weight, f.bias, f.workspace, f.y, threads);
  }
  if (operation->kind == SA_BACKWARD) {
    const sa_backward &b = *static_cast<const sa_backward *>(op);
    return sa_network_backward(b.network, b.batch, b.workspace, b.weight, b.grad_y, b.grad_x, 0, b.grad_weight,
                               b.grad_bias, nullptr, threads);
  }
  if (operation->kind == SA_FIT) {
    const sa_fit &f = *static_cast<const sa_fit *>(op);
    return sa_network_fit(f.network, f.batch, f.x, f.weight, f.bias, f.target, f.scale, f.grad_weight, f.grad_bias,
                          f.loss, threads);
  }
  if (operation->kind == SA_ASCEND) {
    const sa_ascend &a = *static_cast<const sa_ascend *>(op);
    return sa_network_ascend(a.network, a.critic, a.batch, a.x, a.weight, a.bias, a.critic_weight, a.critic_bias,
                             a.scale, a.grad_weight, a.grad_bias, a.mean, threads);
  }
  return kernels().apply[dtype](operation);
}

} // namespace

extern "C" int64_t sa_operation_bytes(int32_t kind) {
  switch (kind) {
  case SA_FORWARD: return sizeof(sa_forward);
  case SA_BACKWARD: return sizeof(sa_backward);
  case SA_GATHER: return sizeof(sa_gather);
  case SA_COPY: return sizeof(sa_copy);
  case SA_SMOOTHED_ACTION: return sizeof(sa_smoothed_action);
  case SA_TD_TARGET: return sizeof(sa_td_target);
  case SA_TD_ERROR: return sizeof(sa_td_error);
  case SA_MEAN: return sizeof(sa_mean);
  case SA_ADAM: return sizeof(sa_adam);
  case SA_POLYAK: return sizeof(sa_polyak);
  case SA_GAUSSIAN: return sizeof(sa_gaussian);
  case SA_GAUSSIAN_GRADIENT: return sizeof(sa_gaussian_gradient);
  case SA_LEAST: return sizeof(sa_least);
  case SA_ENTROPY: return sizeof(sa_entropy);
  case SA_FIT: return sizeof(sa_fit);
  case SA_ASCEND: return sizeof(sa_ascend);
  default: return 0;
  }
}

extern "C" sa_status sa_program_run(const sa_operation *const *operations, int64_t count, int32_t dtype,
                                    int32_t threads) {
  if (dtype != SA_FLOAT32 && dtype != SA_FLOAT64) return SA_BAD_ARGUMENT;
  for (int64_t i = 0; i < count; i++) {
    const sa_status status = run(operations[i], dtype, threads);
    if (status != SA_OK) return status;
  }
  return SA_OK;
}
