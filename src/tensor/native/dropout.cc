// Dropout without its mask: to the last bit what x · mask is with the mask of ../kernels/assembly/dropout.ts.
#include <emmintrin.h>

#include "operation.h"

namespace {

// The next numbers of four xorshift32 generators (Marsaglia, 2003).
__m128i Next(__m128i state) {
  state = _mm_xor_si128(state, _mm_slli_epi32(state, 13));
  state = _mm_xor_si128(state, _mm_srli_epi32(state, 17));
  return _mm_xor_si128(state, _mm_slli_epi32(state, 5));
}

// x: (rows, columns); draw: the states of the four generators, in turn one an element, the threshold below which an
// element is dropped, and the bits of what the others are multiplied by: int32 (6) → (rows, columns)
void Drop(TF_OpKernelContext *context) {
  const Tensor x = Input(context, 0), draw = Input(context, 1);
  const Tensor y = Output(context, 0, {x.length(0), x.length(1)});
  const int32_t *numbers = draw.data<int32_t>();
  const int64_t size = x.size();
  const float *in = x.data<float>();
  float *out = y.data<float>();
  __m128i state = _mm_loadu_si128(reinterpret_cast<const __m128i *>(numbers));
  const __m128i sign = _mm_set1_epi32(INT32_MIN); // the comparison is of signed numbers
  const __m128i threshold = _mm_xor_si128(_mm_set1_epi32(numbers[4]), sign);
  const __m128i scale = _mm_set1_epi32(numbers[5]);
  for (int64_t i = 0; i < size; i += 4) {
    state = Next(state);
    const __m128i dropped = _mm_cmplt_epi32(_mm_xor_si128(state, sign), threshold);
    const __m128 mask = _mm_castsi128_ps(_mm_andnot_si128(dropped, scale));
    if (i + 4 <= size) {
      _mm_storeu_ps(out + i, _mm_mul_ps(_mm_loadu_ps(in + i), mask));
    } else {
      alignas(16) float last[4];
      _mm_store_ps(last, mask);
      for (int64_t j = i; j < size; j++) out[j] = in[j] * last[j - i];
    }
  }
}
const bool dropout = Register<Drop>("Dropout", {"x: float", "draw: int32"}, {"y: float"});

}  // namespace
