// What training steps are made of: what happens between the networks' passes, the passes themselves, and the optimizer.
//
// An operation is one of the structs below, its kind first. It points to row-major memory of the program's
// type, float or double, unless it says otherwise; whoever makes a program keeps all of it alive, and may
// change scalars between two runs.
#pragma once
#include "types.h"

typedef enum {
  SA_FORWARD = 0,
  SA_BACKWARD = 1,
  SA_GATHER = 2,
  SA_COPY = 3,
  SA_SMOOTHED_ACTION = 4,
  SA_TD_TARGET = 5,
  SA_TD_ERROR = 6,
  SA_MEAN = 7,
  SA_ADAM = 8,
  SA_POLYAK = 9,
  SA_GAUSSIAN = 10,
  SA_GAUSSIAN_GRADIENT = 11,
  SA_LEAST = 12,
  SA_ENTROPY = 13,
  SA_FIT = 14,
  SA_ASCEND = 15
} sa_operation_kind;

typedef struct {
  int32_t kind;
} sa_operation;

// sa_network_forward.
typedef struct {
  int32_t kind;
  const sa_network *network;
  int64_t batch;
  const void *x;
  const void *const *weight, *const *bias;
  void *workspace, *y;
} sa_forward;

// sa_network_backward.
typedef struct {
  int32_t kind;
  const sa_network *network;
  int64_t batch;
  const void *workspace;
  const void *const *weight;
  const void *grad_y;
  void *grad_x;
  void *const *grad_weight, *const *grad_bias;
} sa_backward;

// sa_network_fit.
typedef struct {
  int32_t kind;
  const sa_network *network;
  int64_t batch;
  double scale;
  const void *x;
  const void *const *weight, *const *bias;
  const void *target;
  void *const *grad_weight, *const *grad_bias;
  double *loss;
} sa_fit;

// sa_network_ascend.
typedef struct {
  int32_t kind;
  const sa_network *network, *critic;
  int64_t batch;
  double scale;
  const void *x;
  const void *const *weight, *const *bias, *const *critic_weight, *const *critic_bias;
  void *const *grad_weight, *const *grad_bias;
  double *mean;
} sa_ascend;

#define SA_MAX_COLUMNS 16

// Rows of a table whose columns lie in several arrays: for each of them,
// out[i, 0..columns) = source[row[i], 0..columns), through float, for a replay buffer in double holds what
// networks see as float. source_dtype is the source's.
typedef struct {
  int32_t source_dtype;
  int64_t columns, out_stride;
  const void *source;
  void *out;
} sa_columns;

typedef struct {
  int32_t kind, arrays;
  int64_t rows;
  const int64_t *row;
  sa_columns columns[SA_MAX_COLUMNS];
} sa_gather;

// out[i, 0..columns) = from[i, 0..columns).
typedef struct {
  int32_t kind;
  int64_t rows, columns, from_stride, out_stride;
  const void *from;
  void *out;
} sa_copy;

// out = clamp(action + clamp(scale noise, -clip, clip), -1, 1); noise is float.
typedef struct {
  int32_t kind;
  int64_t rows, columns, out_stride;
  double scale, clip;
  const void *action;
  const float *noise;
  void *out;
} sa_smoothed_action;

#define SA_MAX_CRITICS 16

// target = reward + (1 - done (1 - timeout)) discount (min over critics q - entropy log_prob). timeout,
// discounts (one per row, in place of discount) and log_prob may be NULL.
typedef struct {
  int32_t kind, critics;
  int64_t rows;
  double discount;
  const void *q[SA_MAX_CRITICS];
  const void *reward, *done, *timeout, *discounts, *log_prob;
  const double *entropy;
  void *target;
} sa_td_target;

// loss += scale mean (q - target)^2, and grad its gradient by q.
typedef struct {
  int32_t kind;
  int64_t rows;
  double scale;
  const void *q, *target;
  void *grad;
  double *loss;
} sa_td_error;

// mean += scale mean x, and grad its gradient by x; grad may be NULL.
typedef struct {
  int32_t kind;
  int64_t rows;
  double scale;
  const void *x;
  void *grad;
  double *mean;
} sa_mean;

// torch's Adam (decoupled: AdamW) on several tensors; steps are counted in float, as torch does. Afterwards target =
// (1 - tau) target + tau value; target may be NULL, or have NULLs in it.
typedef struct {
  int32_t kind, decoupled;
  int64_t tensors;
  double learning_rate, beta1, beta2, epsilon, weight_decay, tau;
  const int64_t *size;
  void *const *value;
  const void *const *grad;
  void *const *moment1, *const *moment2;
  float *const *step;
  void *const *target;
} sa_adam;

// target = (1 - tau) target + tau online, of several tensors.
typedef struct {
  int32_t kind;
  int64_t tensors;
  double tau;
  const int64_t *size;
  const void *const *online;
  void *const *target;
} sa_polyak;

// A Gaussian squashed by tanh (Haarnoja et al. 2018, appendix C): parameters are [rows, 2 columns], means,
// then logarithms of the standard deviations, which are clamped to [-20, 2]. action = tanh(mean + std noise).
typedef struct {
  int32_t kind;
  int64_t rows, columns;
  const void *parameters, *noise;
  void *action, *log_prob;
} sa_gaussian;

// The gradient by those parameters of entropy mean log_prob and of what has, by the action, the gradient that
// is the sum of several grad_action; these have rows grad_stride apart.
typedef struct {
  int32_t kind, critics;
  int64_t rows, columns, grad_stride;
  const double *entropy;
  const void *parameters, *noise, *action;
  const void *grad_action[SA_MAX_CRITICS];
  void *grad;
} sa_gaussian_gradient;

// loss += mean(entropy log_prob - min over critics q), and grad[c] its gradient by q[c].
typedef struct {
  int32_t kind, critics;
  int64_t rows;
  const void *q[SA_MAX_CRITICS];
  void *grad[SA_MAX_CRITICS];
  const void *log_prob;
  const double *entropy;
  double *loss;
} sa_least;

// The entropy coefficient exp(logarithm), which is added to coefficients, too, and of loss = -logarithm mean(log_prob +
// target) the value, which is added to it, and the gradient.
typedef struct {
  int32_t kind;
  int64_t rows;
  double target;
  const void *log_prob, *logarithm;
  void *grad;
  double *coefficient, *coefficients, *loss;
} sa_entropy;
