// Vectors of sixteen floats, which the compiler makes of what registers the function that they are used in may take.
#pragma once

#include <cstdint>
#include <cstring>

// A product and a sum may be rounded at once, as the processor does it.
#pragma GCC optimize("fp-contract=fast")
#pragma GCC diagnostic ignored "-Wpsabi" // vectors go to no function that is not inlined
#define INLINE inline __attribute__((always_inline))
#define AVX512 __attribute__((target("avx512f,avx512vl,fma")))
#define AVX2 __attribute__((target("avx2,fma")))

// What the processor can do.
template <typename F>
F Chosen(F avx512, F avx2, F plain) {
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl")) return avx512;
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? avx2 : plain;
}

typedef float Vector __attribute__((vector_size(64)));
typedef float HalfVector __attribute__((vector_size(32)));
typedef int32_t Integers __attribute__((vector_size(64)));

constexpr int64_t kLanes = 16;

template <typename V>
INLINE V Load(const float *from) {
  V vector;
  std::memcpy(&vector, from, sizeof vector);
  return vector;
}

template <typename V>
INLINE void Store(float *to, const V &vector) {
  std::memcpy(to, &vector, sizeof vector);
}

// Of `count` floats that there are, as many as a vector has; zeros in what is left.
INLINE Vector Load(const float *from, int64_t count) {
  if (count >= kLanes) return Load<Vector>(from);
  Vector vector = {};
  std::memcpy(&vector, from, count * sizeof(float));
  return vector;
}

INLINE void Store(float *to, const Vector &vector, int64_t count) {
  if (count >= kLanes) return Store(to, vector);
  std::memcpy(to, &vector, count * sizeof(float));
}

INLINE float Sum(const Vector &vector) {
  float sum = 0;
  for (int lane = 0; lane < kLanes; lane++) sum += vector[lane];
  return sum;
}

// 2^x for x ≤ 0, to two units in the last place; 2^−126 for all that is less.
INLINE Vector Exp2(Vector x) {
  x = x < -126.f ? Vector{} - 126.f : x;
  const Vector shifted = x + 0x1.8p23f; // whose last bits are the nearest integer
  const Vector f = x - (shifted - 0x1.8p23f);
  // ln(2)ⁿ / n!
  const Vector power = 1 + f * (0.69314718f + f * (0.24022651f + f * (0.055504109f + f * (0.0096181291f
    + f * (0.0013333558f + f * 0.00015403530f)))));
  return reinterpret_cast<Vector>(reinterpret_cast<Integers>(power) + (reinterpret_cast<Integers>(shifted) << 23));
}
