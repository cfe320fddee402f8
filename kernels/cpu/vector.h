// Vectors as wide as the instruction set this file is compiled for, by the compiler's own vector
// types: the same source serves AVX-512, AVX2, SSE2 and NEON, float and double.
#pragma once
#include <stdint.h>
#include <string.h>

namespace sparse_agents {
namespace SA_ISA {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX2__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif

// Keeps a loaded vector in its register, so that two uses do not become two loads.
#if defined(__x86_64__)
#define SA_IN_REGISTER(v) asm("" : "+v"(v))
#elif defined(__aarch64__)
#define SA_IN_REGISTER(v) asm("" : "+w"(v))
#else
#define SA_IN_REGISTER(v)
#endif

template <class T> struct VectorOf;
template <> struct VectorOf<float> {
  typedef float type __attribute__((vector_size(kVectorBytes)));
  typedef int32_t bits __attribute__((vector_size(kVectorBytes)));
};
template <> struct VectorOf<double> {
  typedef double type __attribute__((vector_size(kVectorBytes)));
  typedef int64_t bits __attribute__((vector_size(kVectorBytes)));
};
template <class T> using Vec = typename VectorOf<T>::type;
template <class T> using Bits = typename VectorOf<T>::bits;
template <class T> constexpr int kLanes = kVectorBytes / int(sizeof(T));

// A small number known at compile time, to pass to generic lambdas.
template <int N> struct Width {
  static constexpr int value = N;
};

// x - 0 is x for every x, so the compiler is free to load-and-broadcast (x + 0 would not be: -0).
template <class T> inline Vec<T> broadcast(T x) { return x - Vec<T>{}; }
template <class T> inline const Vec<T> *vectors(const T *p) { return reinterpret_cast<const Vec<T> *>(p); }
template <class T> inline Vec<T> *vectors(T *p) { return reinterpret_cast<Vec<T> *>(p); }

#if defined(__clang__)
#define SA_SHUFFLE4(a, b, f)                                                                         \
  __builtin_shufflevector(a, b, f(0), f(1), f(2), f(3))
#define SA_SHUFFLE8(a, b, f)                                                                         \
  __builtin_shufflevector(a, b, f(0), f(1), f(2), f(3), f(4), f(5), f(6), f(7))
#define SA_SHUFFLE16(a, b, f)                                                                        \
  __builtin_shufflevector(a, b, f(0), f(1), f(2), f(3), f(4), f(5), f(6), f(7), f(8), f(9), f(10),   \
                          f(11), f(12), f(13), f(14), f(15))
#else
#define SA_SHUFFLE4(a, b, f) __builtin_shuffle(a, b, Bits<float>{f(0), f(1), f(2), f(3)})
#define SA_SHUFFLE8(a, b, f)                                                                         \
  __builtin_shuffle(a, b, Bits<float>{f(0), f(1), f(2), f(3), f(4), f(5), f(6), f(7)})
#define SA_SHUFFLE16(a, b, f)                                                                        \
  __builtin_shuffle(a, b,                                                                            \
                    Bits<float>{f(0), f(1), f(2), f(3), f(4), f(5), f(6), f(7), f(8), f(9), f(10),   \
                                f(11), f(12), f(13), f(14), f(15)})
#endif

// Index patterns of the in-lane steps of sums4. n floats per vector; lanes of four floats each.
// keep_halves: [a0 a1 b2 b3], swap_halves: [a2 a3 b0 b1], evens: [a0 a2 b0 b2], odds: [a1 a3 b1 b3].
#define SA_KEEP_HALVES(i) ((i) % 4 < 2 ? (i) : n + (i))
#define SA_SWAP_HALVES(i) ((i) % 4 < 2 ? (i) + 2 : n + (i)-2)
#define SA_EVENS(i) ((i) / 4 * 4 + ((i) % 2) * 2 + ((i) % 4 < 2 ? 0 : n))
#define SA_ODDS(i) (SA_EVENS(i) + 1)

#if defined(__AVX512F__)
#define SA_SHUFFLE(a, b, f) SA_SHUFFLE16(a, b, f)
#elif defined(__AVX2__)
#define SA_SHUFFLE(a, b, f) SA_SHUFFLE8(a, b, f)
#else
#define SA_SHUFFLE(a, b, f) SA_SHUFFLE4(a, b, f)
#endif

// out[0..3] += the sum of the vector's lanes of four.
typedef float Four __attribute__((vector_size(16)));
inline void add_lanes(Four v, float *out) {
  Four total;
  memcpy(&total, out, sizeof(total));
  total += v;
  memcpy(out, &total, sizeof(total));
}
#if defined(__AVX2__)
typedef float Eight __attribute__((vector_size(32)));
inline void add_lanes(Eight v, float *out) {
  Four half[2];
  memcpy(half, &v, sizeof(v));
  add_lanes(half[0] + half[1], out);
}
#endif
#if defined(__AVX512F__)
inline void add_lanes(Vec<float> v, float *out) {
  Eight half[2];
  memcpy(half, &v, sizeof(v));
  add_lanes(half[0] + half[1], out);
}
#endif

// out[c] += the sum of the lanes of v[c], for four vectors at once: summing them together costs
// about as many shuffles as summing one.
inline void add_sums4(const Vec<float> (&v)[4], float *out) {
  constexpr int n = kLanes<float>;
  Vec<float> ab = SA_SHUFFLE(v[0], v[1], SA_KEEP_HALVES) + SA_SHUFFLE(v[0], v[1], SA_SWAP_HALVES);
  Vec<float> cd = SA_SHUFFLE(v[2], v[3], SA_KEEP_HALVES) + SA_SHUFFLE(v[2], v[3], SA_SWAP_HALVES);
  Vec<float> lanes = SA_SHUFFLE(ab, cd, SA_EVENS) + SA_SHUFFLE(ab, cd, SA_ODDS); // [a b c d] each
  add_lanes(lanes, out);
}

template <class T> inline T sum(Vec<T> v) {
  T total = v[0];
  for (int i = 1; i < kLanes<T>; i++) total += v[i];
  return total;
}

inline void add_sums4(const Vec<double> (&v)[4], double *out) {
  for (int c = 0; c < 4; c++) out[c] += sum<double>(v[c]);
}

} // namespace SA_ISA
} // namespace sparse_agents
