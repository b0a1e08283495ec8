// Products with a 4-bit matrix, and LoRA's thin ones, on a processor that multiplies bfloat16 by tiles (Intel's AMX). Some
// columns of the matrix at a time are made wide just before they are multiplied, in the order that tiles are read in: in
// memory it never is. All are given float32, and give it: sums are of float32.
#if defined(__x86_64__) && (defined(__clang__) ? __clang_major__ >= 12 : __GNUC__ >= 11)

#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "operation.h"
#include "pool.h"

#define WITH_TILES __attribute__((target("amx-tile,amx-bf16,avx512f,avx512bw,avx512vl,avx512bf16")))

namespace {

// A tile is 16 rows of 64 bytes. Of a left factor: 16 rows by 32 of what is summed over; of a right one 32 of that, in
// pairs, by 16 columns; of a product 16 by 16 in float32.
constexpr int64_t ROWS = 16, DEPTH = 32, COLUMNS = 16, TILE = 512; // the last in bfloat16
// Tiles of what is summed over at a time, so that both factors' parts stay in a core's cache; columns of a piece of work.
constexpr int64_t CHUNK = 32, PANEL = 2 * COLUMNS;

int64_t Whole(int64_t size, int64_t unit) { return (size + unit - 1) / unit; }

// A 4-bit matrix, (rows, columns) row-major, in blocks that no row shares with another.
struct Packed {
  const uint8_t *packed;
  const float *codebook, *absmax;
  int64_t rows, columns, blockSize;

  // In bfloat16 the 32 values of a row from `column` on: a multiple of 32, as a block is long.
  WITH_TILES __m512i Values(int64_t row, int64_t column) const {
    const float scale = absmax[(row * columns + column) / blockSize];
    const __m512 scaled = _mm512_mul_ps(_mm512_loadu_ps(codebook), _mm512_set1_ps(scale));
    const __m512i table = _mm512_broadcast_i64x4(reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(scaled))); // twice
    const auto *bytes = reinterpret_cast<const __m128i *>(packed + (row * columns + column) / 2);
    const __m512i pairs = _mm512_cvtepu8_epi32(_mm_loadu_si128(bytes));
    const __m512i first = _mm512_srli_epi32(pairs, 4);
    const __m512i second = _mm512_and_epi32(_mm512_slli_epi32(pairs, 16), _mm512_set1_epi32(0xf0000));
    return _mm512_permutexvar_epi16(_mm512_or_epi32(first, second), table);
  }
};

// A matrix of float32, (rows, columns) row-major.
struct Dense {
  const float *values;
  int64_t rows, columns;

  // In bfloat16 the 32 values of a row from `column` on; zeros past its end.
  WITH_TILES __m512i Values(int64_t row, int64_t column) const {
    const float *from = values + row * columns + column;
    const int64_t there = std::min<int64_t>(32, columns - column);
    const auto mask = static_cast<uint32_t>((uint64_t{1} << there) - 1);
    const __m512 low = _mm512_maskz_loadu_ps(mask & 0xffff, from), high = _mm512_maskz_loadu_ps(mask >> 16, from + 16);
    return reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low));
  }
};

// 16 by 16 words.
WITH_TILES void Transpose(__m512i *rows) {
  __m512i t[16];
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    rows[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    rows[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    rows[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    rows[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
  for (int i = 0; i < 4; i++) {
    t[i] = _mm512_shuffle_i32x4(rows[i], rows[i + 4], 0x88);
    t[i + 4] = _mm512_shuffle_i32x4(rows[i], rows[i + 4], 0xdd);
    t[i + 8] = _mm512_shuffle_i32x4(rows[i + 8], rows[i + 12], 0x88);
    t[i + 12] = _mm512_shuffle_i32x4(rows[i + 8], rows[i + 12], 0xdd);
  }
  for (int i = 0; i < 8; i++) {
    rows[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
    rows[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
  }
}

template <typename Matrix>
WITH_TILES __m512i ValuesOrZeros(const Matrix &w, int64_t row, int64_t column) {
  return row < w.rows ? w.Values(row, column) : _mm512_setzero_si512();
}

// A tile of Wᵀ: 32 of W's columns, in pairs, by 16 of its rows.
template <typename Matrix>
WITH_TILES void TransposedTile(const Matrix &w, int64_t depth, int64_t column, uint16_t *tile) {
  __m512i rows[16];
  for (int64_t i = 0; i < COLUMNS; i++) rows[i] = ValuesOrZeros(w, column + i, depth);
  Transpose(rows);
  for (int64_t i = 0; i < 16; i++) _mm512_store_si512(tile + 32 * i, rows[i]);
}

// Two tiles of W: 32 of its rows, in pairs, by twice 16 of its columns.
template <typename Matrix>
WITH_TILES void PlainTiles(const Matrix &w, int64_t depth, int64_t column, uint16_t *tiles) {
  alignas(64) uint16_t order[2][32];
  for (int i = 0; i < 32; i++) { // of two rows' values, the first ones in turn; and the second half of them
    order[0][i] = i / 2 + 32 * (i % 2);
    order[1][i] = 16 + order[0][i];
  }
  const __m512i low = _mm512_load_si512(order[0]), high = _mm512_load_si512(order[1]);
  for (int64_t i = 0; i < DEPTH / 2; i++) {
    const __m512i even = ValuesOrZeros(w, depth + 2 * i, column), odd = ValuesOrZeros(w, depth + 2 * i + 1, column);
    _mm512_store_si512(tiles + 32 * i, _mm512_permutex2var_epi16(even, low, odd));
    _mm512_store_si512(tiles + TILE + 32 * i, _mm512_permutex2var_epi16(even, high, odd));
  }
}

// Two tiles of W, or of Wᵀ, side by side.
template <typename Matrix>
WITH_TILES void TilesOf(const Matrix &w, bool transposed, int64_t depth, int64_t column, uint16_t *tiles) {
  if (!transposed) return PlainTiles(w, depth, column, tiles);
  TransposedTile(w, depth, column, tiles);
  TransposedTile(w, depth, column + COLUMNS, tiles + TILE);
}

// 16 rows of a left factor, in bfloat16 by tiles.
WITH_TILES void PackRows(const Dense &x, int64_t first, uint16_t *tiles) {
  for (int64_t depth = 0; depth < x.columns; depth += DEPTH, tiles += TILE) {
    for (int64_t i = 0; i < ROWS; i++) _mm512_store_si512(tiles + 32 * i, ValuesOrZeros(x, first + i, depth));
  }
}

struct alignas(64) TileShapes {
  uint8_t palette = 1, first = 0, reserved[14] = {};
  uint16_t bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

// Adds `depth` tiles' products to 32 rows and 32 columns of a product, or begins with nothing. left: two rows of tiles,
// `stride` values apart; right: pairs of tiles; out: `width` values a row.
WITH_TILES void MultiplyTiles(const uint16_t *left, int64_t stride, const uint16_t *right, int64_t depth, bool begins,
                              float *out, int64_t width) {
  if (begins) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  } else {
    _tile_loadd(0, out, 4 * width);
    _tile_loadd(1, out + COLUMNS, 4 * width);
    _tile_loadd(2, out + ROWS * width, 4 * width);
    _tile_loadd(3, out + ROWS * width + COLUMNS, 4 * width);
  }
  for (int64_t at = 0; at < depth; at++) {
    _tile_loadd(4, left + at * TILE, 64);
    _tile_loadd(5, left + stride + at * TILE, 64);
    _tile_loadd(6, right + 2 * at * TILE, 64);
    _tile_loadd(7, right + (2 * at + 1) * TILE, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_stored(0, out, 4 * width);
  _tile_stored(1, out + COLUMNS, 4 * width);
  _tile_stored(2, out + ROWS * width, 4 * width);
  _tile_stored(3, out + ROWS * width + COLUMNS, 4 * width);
}

std::unique_ptr<uint16_t, void (*)(void *)> Aligned(int64_t values) {
  return {static_cast<uint16_t *>(std::aligned_alloc(64, 2 * values)), std::free};
}

// x · w + low · second, or with `transposed` x · wᵀ + low · secondᵀ. x: (rows, …), low: (rows, …) → (rows, columns)
template <typename Matrix>
WITH_TILES void Multiply(const Dense &x, const Matrix &w, const Dense &low, const Dense &second, bool transposed, float *out) {
  const int64_t rows = x.rows, columns = transposed ? w.rows : w.columns;
  const int64_t tileRows = 2 * Whole(rows, 2 * ROWS);
  const int64_t firstTiles = Whole(x.columns, DEPTH), depthTiles = firstTiles + Whole(low.columns, DEPTH);
  const int64_t stride = depthTiles * TILE;
  const auto left = Aligned(tileRows * stride);
  Parallel(tileRows, [&](int64_t i) WITH_TILES {
    PackRows(x, i * ROWS, left.get() + i * stride);
    PackRows(low, i * ROWS, left.get() + i * stride + firstTiles * TILE);
  });
  Parallel(Whole(columns, PANEL), [&](int64_t panel) WITH_TILES {
    const TileShapes shapes;
    _tile_loadconfig(&shapes);
    alignas(64) thread_local uint16_t right[2 * TILE * CHUNK];
    alignas(64) thread_local float edge[2 * ROWS * PANEL];
    const int64_t column = panel * PANEL, width = std::min(PANEL, columns - column);
    for (int64_t first = 0; first < depthTiles; first += CHUNK) {
      const int64_t count = std::min(CHUNK, depthTiles - first);
      for (int64_t i = 0; i < count; i++) {
        const int64_t at = first + i;
        uint16_t *tiles = right + 2 * i * TILE;
        if (at < firstTiles) TilesOf(w, transposed, at * DEPTH, column, tiles);
        else TilesOf(second, transposed, (at - firstTiles) * DEPTH, column, tiles);
      }
      for (int64_t row = 0; row < rows; row += 2 * ROWS) {
        const uint16_t *tiles = left.get() + row / ROWS * stride + first * TILE;
        const int64_t height = std::min(2 * ROWS, rows - row);
        float *place = out + row * columns + column;
        if (width == PANEL && height == 2 * ROWS) {
          MultiplyTiles(tiles, stride, right, count, first == 0, place, columns);
          continue;
        }
        for (int64_t i = 0; first > 0 && i < height; i++) std::memcpy(edge + i * PANEL, place + i * columns, 4 * width);
        MultiplyTiles(tiles, stride, right, count, first == 0, edge, PANEL);
        for (int64_t i = 0; i < height; i++) std::memcpy(place + i * columns, edge + i * PANEL, 4 * width);
      }
    }
    _tile_release();
  });
}

// Whether the processor has tiles, and Linux lets this process use them.
bool HasTiles() {
  unsigned a, b, c, d;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  const bool tiles = (d >> 22 & 1) && (d >> 24 & 1), wide = (b >> 16 & 1) && (b >> 30 & 1) && (b >> 31 & 1);
  if (!tiles || !wide || !__get_cpuid_count(7, 1, &a, &b, &c, &d) || !(a >> 5 & 1)) return false;
  constexpr int REQUEST_PERMISSION = 0x1023, TILE_DATA = 18; // arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA)
  return syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
}

Dense Matrix(const Tensor &tensor) { return {tensor.data<float>(), tensor.length(0), tensor.length(1)}; }

const Dense nothing{nullptr, 0, 0};

// x · w + low · second, or with `transposed` x · wᵀ + low · secondᵀ; of `update` there is both or none.
struct PackedProduct {
  explicit PackedProduct(const Attributes &given)
      : rows(given.Integer("rows")), columns(given.Integer("columns")), blockSize(given.Integer("block_size")),
        transposed(given.Flag("transposed")) {}
  void Compute(TF_OpKernelContext *context) const {
    const Tensor x = Input(context, 0), packed = Input(context, 1), codebook = Input(context, 2), absmax = Input(context, 3);
    const Tensor product = Output(context, 0, {x.length(0), transposed ? rows : columns});
    const Packed w{packed.data<uint8_t>(), codebook.data<float>(), absmax.data<float>(), rows, columns, blockSize};
    if (TF_NumInputs(context) == 4) return Multiply(Matrix(x), w, nothing, nothing, transposed, product.data<float>());
    const Tensor low = Input(context, 4), second = Input(context, 5);
    Multiply(Matrix(x), w, Matrix(low), Matrix(second), transposed, product.data<float>());
  }
  const int64_t rows, columns, blockSize; // of w
  const bool transposed;
};

// x · w, or with `transposed` x · wᵀ, where w is float32, too.
struct DenseProduct {
  explicit DenseProduct(const Attributes &given) : transposed(given.Flag("transposed")) {}
  void Compute(TF_OpKernelContext *context) const {
    const Tensor x = Input(context, 0), w = Input(context, 1);
    const Tensor product = Output(context, 0, {x.length(0), w.length(transposed ? 0 : 1)});
    Multiply(Matrix(x), Matrix(w), nothing, nothing, transposed, product.data<float>());
  }
  const bool transposed;
};

// thinᵀ · wide, or with `transposed` wideᵀ · thin. thin: (rows, r), wide: (rows, n) → (r, n), or (n, r)
struct ThinGradient {
  explicit ThinGradient(const Attributes &given) : transposed(given.Flag("transposed")) {}
  void Compute(TF_OpKernelContext *context) const {
    const Tensor thin = Input(context, 0), wide = Input(context, 1);
    const int64_t rows = thin.length(0), r = thin.length(1), n = wide.length(1);
    std::vector<float> turned(r * rows);
    const float *values = thin.data<float>();
    for (int64_t row = 0; row < rows; row++) {
      for (int64_t i = 0; i < r; i++) turned[i * rows + row] = *values++;
    }
    const Dense left{turned.data(), r, rows};
    if (!transposed) {
      const Tensor product = Output(context, 0, {r, n});
      return Multiply(left, Matrix(wide), nothing, nothing, false, product.data<float>());
    }
    std::vector<float> found(r * n);
    Multiply(left, Matrix(wide), nothing, nothing, false, found.data());
    const Tensor product = Output(context, 0, {n, r});
    float *out = product.data<float>();
    for (int64_t column = 0; column < n; column++) {
      for (int64_t i = 0; i < r; i++) *out++ = found[i * n + column];
    }
  }
  const bool transposed;
};

// Only where there are tiles: who asks for them finds out whether TensorFlow knows the operations.
const bool registered = HasTiles()
    && Register<PackedProduct>(
        "PackedProduct", {"rows: int", "columns: int", "block_size: int", "transposed: bool", "N: int >= 0"},
        {"x: float", "packed: uint8", "codebook: float", "absmax: float", "update: N * float"}, {"product: float"})
    && Register<DenseProduct>("DenseProduct", {"transposed: bool = false"}, {"x: float", "w: float"}, {"product: float"})
    && Register<ThinGradient>("ThinGradient", {"transposed: bool"}, {"thin: float", "wide: float"}, {"product: float"});

}  // namespace

#endif
