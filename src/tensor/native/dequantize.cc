// 4-bit matrices made wide, to the last bit as by src/quant: an operation of a graph like any other, which TensorFlow
// runs beside the products that do not need it yet.
#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "operation.h"

namespace {

// As the processor rounds: to the nearest, a tie to the even one.
uint16_t ToBfloat16(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

// One block: two values a byte, the first in the high nibble. `values`: the sixteen that a nibble can stand for.
void Widen(const uint8_t *packed, int64_t bytes, const float *values, float *out) {
  for (int64_t i = 0; i < bytes; i++) {
    out[2 * i] = values[packed[i] >> 4];
    out[2 * i + 1] = values[packed[i] & 15];
  }
}

__attribute__((target("ssse3"))) void Widen(const uint8_t *packed, int64_t bytes, const float *values, uint16_t *out) {
  alignas(16) uint8_t halves[2][16]; // of the sixteen values, the low bytes and the high ones
  for (int code = 0; code < 16; code++) {
    const uint16_t narrow = ToBfloat16(values[code]);
    halves[0][code] = narrow & 255;
    halves[1][code] = narrow >> 8;
  }
  const __m128i low = _mm_load_si128(reinterpret_cast<__m128i *>(halves[0]));
  const __m128i high = _mm_load_si128(reinterpret_cast<__m128i *>(halves[1]));
  const __m128i nibble = _mm_set1_epi8(15);
  for (int64_t i = 0; i < bytes; i += 16) { // 32 values: a block is of 32 or more
    const __m128i pairs = _mm_loadu_si128(reinterpret_cast<const __m128i *>(packed + i));
    const __m128i first = _mm_and_si128(_mm_srli_epi16(pairs, 4), nibble);
    const __m128i second = _mm_and_si128(pairs, nibble);
    for (const __m128i codes : {_mm_unpacklo_epi8(first, second), _mm_unpackhi_epi8(first, second)}) {
      const __m128i lows = _mm_shuffle_epi8(low, codes);
      const __m128i highs = _mm_shuffle_epi8(high, codes);
      _mm_storeu_si128(reinterpret_cast<__m128i *>(out), _mm_unpacklo_epi8(lows, highs));
      _mm_storeu_si128(reinterpret_cast<__m128i *>(out + 8), _mm_unpackhi_epi8(lows, highs));
      out += 16;
    }
  }
}

// packed: (n / 2), codebook: (16), absmax: one for each of n / blockSize blocks, and more that nobody looks at → (n)
template <typename T>
void DequantizeBlocks(const Tensor &packed, const Tensor &codebook, const Tensor &absmax, int64_t blockSize, T *out) {
  const int64_t bytes = blockSize / 2, blocks = packed.size() / bytes;
  const uint8_t *pairs = packed.data<uint8_t>();
  const float *codes = codebook.data<float>(), *scales = absmax.data<float>();
  float values[16];
  for (int64_t block = 0; block < blocks; block++) {
    for (int code = 0; code < 16; code++) values[code] = codes[code] * scales[block];
    Widen(pairs + block * bytes, bytes, values, out + block * blockSize);
  }
}

struct Dequantize {
  explicit Dequantize(const Attributes &given) : blockSize(given.Integer("block_size")) {}
  void Compute(TF_OpKernelContext *context) const {
    const Tensor packed = Input(context, 0), codebook = Input(context, 1), absmax = Input(context, 2);
    const Tensor wide = Output(context, 0, {2 * packed.size()});
    if (TF_ExpectedOutputDataType(context, 0) == TF_FLOAT) {
      DequantizeBlocks(packed, codebook, absmax, blockSize, wide.data<float>());
    } else {
      DequantizeBlocks(packed, codebook, absmax, blockSize, wide.data<uint16_t>());
    }
  }
  const int64_t blockSize;
};
const bool dequantize = Register<Dequantize>(
    "DequantizeBlocks", {"T: {float, bfloat16}", "block_size: int"},
    {"packed: uint8", "codebook: float", "absmax: float"}, {"wide: T"});

// Scales of double quantisation. codes: (blocks · n), map: (256), absmax: (blocks), offset: (1) → (blocks · n)
void DequantizeScales(TF_OpKernelContext *context) {
  const Tensor codes = Input(context, 0), map = Input(context, 1), absmax = Input(context, 2);
  const float offset = *Input(context, 3).data<float>();
  const Tensor scales = Output(context, 0, {codes.size()});
  const int64_t blocks = absmax.size(), blockSize = codes.size() / blocks;
  const uint8_t *code = codes.data<uint8_t>();
  const float *values = map.data<float>(), *factors = absmax.data<float>();
  float *out = scales.data<float>();
  for (int64_t block = 0; block < blocks; block++) {
    // Compiled without contraction: two roundings.
    for (int64_t i = 0; i < blockSize; i++) *out++ = values[*code++] * factors[block] + offset;
  }
}
const bool dequantizeScales = Register<DequantizeScales>(
    "DequantizeScales", {"codes: uint8", "map: float", "absmax: float", "offset: float"},
    {"scales: float"});

}  // namespace
