// Causal attention without the score matrix (Rabe and Staats, 2021), by tiles (Dao et al., 2022): a block of queries
// meets the blocks of keys up to its own one after the other. Tiles of scores have keys for rows and queries for
// columns, so that a softmax is a matter of whole vectors.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <vector>

#include "operation.h"
#include "pool.h"
#include "vector.h"

namespace {

// A matrix that is read element by element: (i, k) lies at i · row + k · step.
struct Left {
  const float *data;
  int64_t row, step;
};

struct Matrix {
  float *data;
  int64_t row;
  Matrix From(int64_t i, int64_t j = 0) const { return {data + i * row + j, row}; }
};

// c (R, C vectors) = a · b, or c + a · b. All of c is in registers.
template <typename V, int R, int C>
INLINE void Tile(Left a, Matrix b, int64_t depth, bool add, Matrix c) {
  constexpr int width = sizeof(V) / sizeof(float);
  V sum[R][C];
#pragma GCC unroll 8
  for (int i = 0; i < R; i++) {
#pragma GCC unroll 8
    for (int j = 0; j < C; j++) sum[i][j] = add ? Load<V>(c.data + i * c.row + j * width) : V{};
  }
  for (int64_t k = 0; k < depth; k++) {
    V right[C];
#pragma GCC unroll 8
    for (int j = 0; j < C; j++) right[j] = Load<V>(b.data + k * b.row + j * width);
#pragma GCC unroll 8
    for (int i = 0; i < R; i++) {
      const float left = a.data[i * a.row + k * a.step];
#pragma GCC unroll 8
      for (int j = 0; j < C; j++) sum[i][j] += left * right[j];
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < R; i++) {
#pragma GCC unroll 8
    for (int j = 0; j < C; j++) Store(c.data + i * c.row + j * width, sum[i][j]);
  }
}

template <typename V, int C>
INLINE void Column(Left a, Matrix b, int64_t rows, int64_t depth, bool add, Matrix c) {
  int64_t i = 0;
  for (; i + 4 <= rows; i += 4) {
    Tile<V, 4, C>({a.data + i * a.row, a.row, a.step}, b, depth, add, c.From(i));
  }
  for (; i < rows; i++) Tile<V, 1, C>({a.data + i * a.row, a.row, a.step}, b, depth, add, c.From(i));
}

// c (rows, columns) = a (rows, depth) · b (depth, columns), or c + a · b; columns are a multiple of eight.
template <int Most>
INLINE void MultiplyBy(Left a, Matrix b, int64_t rows, int64_t columns, int64_t depth, bool add, Matrix c) {
  int64_t j = 0;
  for (; j + 16 * Most <= columns; j += 16 * Most) {
    Column<Vector, Most>(a, b.From(0, j), rows, depth, add, c.From(0, j));
  }
  if constexpr (Most == 4) {
    if (columns - j >= 48) {
      Column<Vector, 3>(a, b.From(0, j), rows, depth, add, c.From(0, j));
      j += 48;
    } else if (columns - j >= 32) {
      Column<Vector, 2>(a, b.From(0, j), rows, depth, add, c.From(0, j));
      j += 32;
    }
  }
  for (; j + 16 <= columns; j += 16) Column<Vector, 1>(a, b.From(0, j), rows, depth, add, c.From(0, j));
  if (j < columns) Column<HalfVector, 1>(a, b.From(0, j), rows, depth, add, c.From(0, j));
}

using Multiply = void (*)(Left, Matrix, int64_t, int64_t, int64_t, bool, Matrix);

AVX512 void MultiplyAvx512(Left a, Matrix b, int64_t rows, int64_t columns, int64_t depth, bool add, Matrix c) {
  MultiplyBy<4>(a, b, rows, columns, depth, add, c); // 16 of 32 registers for sums
}
AVX2 void MultiplyAvx2(Left a, Matrix b, int64_t rows, int64_t columns, int64_t depth, bool add, Matrix c) {
  MultiplyBy<1>(a, b, rows, columns, depth, add, c); // 8 of 16, which are half as long
}
void MultiplyPlain(Left a, Matrix b, int64_t rows, int64_t columns, int64_t depth, bool add, Matrix c) {
  MultiplyBy<1>(a, b, rows, columns, depth, add, c);
}

// Queries, or keys, of a block. Where keys meet their own queries, a vector of them has its turn at a time.
constexpr int64_t kBlock = 64;

struct Shape {
  int64_t batch, seq, heads, kvHeads, headDim;
  int64_t Blocks() const { return (seq + kBlock - 1) / kBlock; }
  int64_t Rows(int64_t first) const { return std::min(kBlock, seq - first); }
  float Scale() const { return 1 / std::sqrt(static_cast<float>(headDim)); }
  // From position `first` of a sequence on, a head's rows.
  Matrix Query(const float *of, int64_t sequence, int64_t first, int64_t head) const {
    return {const_cast<float *>(of) + ((sequence * seq + first) * heads + head) * headDim, heads * headDim};
  }
  Matrix Key(const float *of, int64_t sequence, int64_t first, int64_t head) const {
    return {const_cast<float *>(of) + ((sequence * seq + first) * kvHeads + head) * headDim, kvHeads * headDim};
  }
};

// A thread's own memory, (kBlock, headDim) each.
INLINE Matrix Scratch(int index, int64_t headDim) {
  struct alignas(64) Line { float values[kLanes]; };
  thread_local std::vector<Line> memory;
  memory.resize(6 * kBlock * headDim / kLanes);
  return {memory[0].values + index * kBlock * headDim, headDim};
}

INLINE void Copy(Matrix from, int64_t rows, int64_t columns, Matrix to) {
  for (int64_t i = 0; i < rows; i++) std::memcpy(to.From(i).data, from.From(i).data, columns * sizeof(float));
}

// from (rows, columns), times `by` → to (columns, kBlock), zeros in what is left.
INLINE void Transpose(Matrix from, int64_t rows, int64_t columns, float by, float *to) {
  for (int64_t i = 0; i < rows; i++) {
    for (int64_t j = 0; j < columns; j++) to[j * kBlock + i] = from.data[i * from.row + j] * by;
  }
  if (rows == kBlock) return;
  for (int64_t j = 0; j < columns; j++) std::fill(to + j * kBlock + rows, to + (j + 1) * kBlock, 0.f);
}

INLINE Integers LaneNumbers() { return Integers{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}; }

// scores (keys, kBlock) = k · qᵀ. Those of keys that no query of a vector sees are left out.
template <Multiply multiply>
INLINE void Scores(Matrix k, const float *qT, int64_t keys, bool own, int64_t headDim, Matrix scores) {
  const Matrix right = {const_cast<float *>(qT), kBlock};
  for (int64_t key = 0, count = own ? kLanes : keys; key < keys; key += count) {
    const int64_t from = own ? key : 0;
    multiply({k.From(key).data, k.row, 1}, right.From(0, from), std::min(count, keys - key), kBlock - from, headDim,
      false, scores.From(key, from));
  }
}

// sum (queries, headDim) = weightsᵀ · values, or sum + weightsᵀ · values. weights: (keys, kBlock).
template <Multiply multiply>
INLINE void AddByQuery(Matrix weights, Matrix values, int64_t queries, int64_t keys, bool own, bool add,
                       int64_t headDim, Matrix sum) {
  for (int64_t query = 0, count = own ? kLanes : queries; query < queries; query += count) {
    multiply({weights.data + query, 1, kBlock}, values, std::min(count, queries - query), headDim,
      own ? std::min(keys, query + count) : keys, add, sum.From(query));
  }
}

// sum (keys, headDim) += weights · values. weights: (keys, kBlock), values: (queries, headDim).
template <Multiply multiply>
INLINE void AddByKey(Matrix weights, Matrix values, int64_t queries, int64_t keys, bool own, int64_t headDim,
                     Matrix sum) {
  for (int64_t key = 0, count = own ? kLanes : keys; key < keys; key += count) {
    const int64_t from = own ? key : 0;
    multiply({weights.From(key, from).data, kBlock, 1}, values.From(from), std::min(count, keys - key), headDim,
      queries - from, true, sum.From(key));
  }
}

struct Forward {
  Shape shape;
  const float *q, *k, *v;
  float *out, *sums;
};

// One block of queries of one head. The longest way comes first, so that the last to begin are soon done.
template <Multiply multiply>
INLINE void AttendBlock(const Forward &with, int64_t piece) {
  const Shape &shape = with.shape;
  const int64_t headDim = shape.headDim;
  const int64_t head = piece % shape.heads, sequence = piece / shape.heads % shape.batch;
  const int64_t first = (shape.Blocks() - 1 - piece / (shape.heads * shape.batch)) * kBlock;
  const int64_t kvHead = head / (shape.heads / shape.kvHeads), queries = shape.Rows(first);
  const Matrix values = Scratch(0, headDim), sum = Scratch(1, headDim);
  float *qT = Scratch(2, headDim).data;
  alignas(64) float tile[kBlock * kBlock], largest[kBlock], total[kBlock], fade[kBlock];
  const Matrix scores = {tile, kBlock};
  Transpose(shape.Query(with.q, sequence, first, head), queries, headDim, shape.Scale() * 1.44269504f, qT); // · log₂(e)
  std::fill(largest, largest + kBlock, -3e38f);
  std::fill(total, total + kBlock, 0.f);
  for (int64_t start = 0; start <= first; start += kBlock) {
    const bool own = start == first;
    const int64_t keys = shape.Rows(start);
    Scores<multiply>(shape.Key(with.k, sequence, start, kvHead), qT, keys, own, headDim, scores);
    for (int64_t lane = 0; lane < kBlock; lane += kLanes) {
      const int64_t count = own ? std::min(keys, lane + kLanes) : keys; // later ones are seen by none of them
      for (int64_t key = lane; own && key < count; key++) {
        Store(tile + key * kBlock + lane, LaneNumbers() < static_cast<int>(key - lane)
          ? Vector{} - 3e38f : Load<Vector>(tile + key * kBlock + lane));
      }
      const Vector before = Load<Vector>(largest + lane);
      Vector most = before;
      for (int64_t key = 0; key < count; key++) {
        const Vector score = Load<Vector>(tile + key * kBlock + lane);
        most = score > most ? score : most;
      }
      const Vector faded = Exp2(before - most);
      Vector powers = Load<Vector>(total + lane) * faded;
      for (int64_t key = 0; key < count; key++) {
        const Vector power = Exp2(Load<Vector>(tile + key * kBlock + lane) - most);
        powers += power;
        Store(tile + key * kBlock + lane, power);
      }
      Store(largest + lane, most);
      Store(total + lane, powers);
      Store(fade + lane, faded);
    }
    for (int64_t i = 0; start > 0 && i < queries; i++) {
      for (int64_t c = 0; c < headDim; c++) sum.data[i * headDim + c] *= fade[i];
    }
    Copy(shape.Key(with.v, sequence, start, kvHead), keys, headDim, values);
    AddByQuery<multiply>(scores, values, queries, keys, own, start > 0, headDim, sum);
  }
  const Matrix out = shape.Query(with.out, sequence, first, head);
  for (int64_t i = 0; i < queries; i++) {
    for (int64_t c = 0; c < headDim; c++) out.data[i * out.row + c] = sum.data[i * headDim + c] / total[i];
    with.sums[(sequence * shape.seq + first + i) * shape.heads + head] = largest[i] + std::log2(total[i]);
  }
}

struct Backward {
  Shape shape;
  const float *q, *k, *v, *out, *sums, *dOut;
  float *dq, *dk, *dv;
  // A head of keys has this many slices of its queries; those of all but the first are summed up apart, as k and v lie.
  int64_t slices;
  float *others;
};

// One block of queries of one head: dq, and what it adds to dk and dv.
template <Multiply multiply>
INLINE void BlockGradients(const Backward &with, int64_t sequence, int64_t head, int64_t first, float *dk, float *dv) {
  const Shape &shape = with.shape;
  const int64_t headDim = shape.headDim, queries = shape.Rows(first), kvHead = head / (shape.heads / shape.kvHeads);
  const float scale = shape.Scale();
  const Matrix q = Scratch(0, headDim), dOut = Scratch(1, headDim), k = Scratch(2, headDim), dq = Scratch(3, headDim);
  float *qT = Scratch(4, headDim).data, *dOutT = Scratch(5, headDim).data;
  alignas(64) float weights[kBlock * kBlock], gradients[kBlock * kBlock], sums[kBlock] = {}, shares[kBlock] = {};
  Copy(shape.Query(with.q, sequence, first, head), queries, headDim, q);
  Copy(shape.Query(with.dOut, sequence, first, head), queries, headDim, dOut);
  Transpose(q, queries, headDim, scale * 1.44269504f, qT);
  Transpose(dOut, queries, headDim, 1, dOutT);
  const Matrix out = shape.Query(with.out, sequence, first, head);
  for (int64_t i = 0; i < queries; i++) {
    Vector products = {};
    for (int64_t c = 0; c < headDim; c += kLanes) {
      products += Load(out.From(i, c).data, headDim - c) * Load(dOut.From(i, c).data, headDim - c);
    }
    shares[i] = Sum(products) * scale;
    sums[i] = with.sums[(sequence * shape.seq + first + i) * shape.heads + head];
  }
  for (int64_t start = 0; start <= first; start += kBlock) {
    const bool own = start == first;
    const int64_t keys = shape.Rows(start);
    Copy(shape.Key(with.k, sequence, start, kvHead), keys, headDim, k);
    Scores<multiply>(k, qT, keys, own, headDim, {weights, kBlock});
    Scores<multiply>(shape.Key(with.v, sequence, start, kvHead), dOutT, keys, own, headDim, {gradients, kBlock});
    // dScore = p · (dOut · v − share), and share = dOut · out of the query.
    for (int64_t key = 0; key < keys; key++) {
      for (int64_t lane = own ? key / kLanes * kLanes : 0; lane < kBlock; lane += kLanes) {
        float *const weight = weights + key * kBlock + lane, *const gradient = gradients + key * kBlock + lane;
        Vector power = Exp2(Load<Vector>(weight) - Load<Vector>(sums + lane));
        if (own) power = LaneNumbers() < static_cast<int>(key - lane) ? Vector{} : power;
        Store(weight, power);
        Store(gradient, power * (Load<Vector>(gradient) * scale - Load<Vector>(shares + lane)));
      }
    }
    AddByKey<multiply>({weights, kBlock}, dOut, queries, keys, own, headDim, shape.Key(dv, sequence, start, kvHead));
    AddByKey<multiply>({gradients, kBlock}, q, queries, keys, own, headDim, shape.Key(dk, sequence, start, kvHead));
    AddByQuery<multiply>({gradients, kBlock}, k, queries, keys, own, start > 0, headDim, dq);
  }
  Copy(dq, queries, headDim, shape.Query(with.dq, sequence, first, head));
}

// One slice of one head of keys: blocks of its queries, dealt out so that all slices have about as much to do.
template <Multiply multiply>
INLINE void SliceGradients(const Backward &with, int64_t piece) {
  const Shape &shape = with.shape;
  const int64_t slice = piece % with.slices, kvHead = piece / with.slices % shape.kvHeads;
  const int64_t sequence = piece / with.slices / shape.kvHeads, group = shape.heads / shape.kvHeads;
  const int64_t size = shape.batch * shape.seq * shape.kvHeads * shape.headDim;
  float *const dk = slice == 0 ? with.dk : with.others + 2 * (slice - 1) * size;
  float *const dv = slice == 0 ? with.dv : dk + size;
  for (int64_t i = 0; i < shape.seq; i++) {
    for (float *of : {dk, dv}) std::memset(shape.Key(of, sequence, i, kvHead).data, 0, shape.headDim * sizeof(float));
  }
  for (int64_t round = 0; round * with.slices < group * shape.Blocks(); round++) {
    const int64_t turn = round * with.slices + (round % 2 == 0 ? slice : with.slices - 1 - slice);
    if (turn >= group * shape.Blocks()) continue;
    const int64_t first = (shape.Blocks() - 1 - turn / group) * kBlock; // the longest way first
    BlockGradients<multiply>(with, sequence, kvHead * group + turn % group, first, dk, dv);
  }
}

AVX512 void AttendAvx512(const Forward &with, int64_t piece) { AttendBlock<MultiplyAvx512>(with, piece); }
AVX2 void AttendAvx2(const Forward &with, int64_t piece) { AttendBlock<MultiplyAvx2>(with, piece); }
void AttendPlain(const Forward &with, int64_t piece) { AttendBlock<MultiplyPlain>(with, piece); }

AVX512 void GradientsAvx512(const Backward &with, int64_t piece) { SliceGradients<MultiplyAvx512>(with, piece); }
AVX2 void GradientsAvx2(const Backward &with, int64_t piece) { SliceGradients<MultiplyAvx2>(with, piece); }
void GradientsPlain(const Backward &with, int64_t piece) { SliceGradients<MultiplyPlain>(with, piece); }

Shape ShapeOf(const Tensor &q, const Tensor &k) {
  return {k.length(0), k.length(1), q.length(1), k.length(2), q.length(2)};
}

// q: (batch·seq, heads, headDim), headDim a multiple of eight, k and v: (batch, seq, kvHeads, headDim) →
// out: (batch·seq, heads·headDim), sums: (batch·seq, heads), the binary logarithm of each softmax's sum
void Attend(TF_OpKernelContext *context) {
  const Tensor q = Input(context, 0), k = Input(context, 1), v = Input(context, 2);
  const Shape shape = ShapeOf(q, k);
  const Tensor out = Output(context, 0, {q.length(0), shape.heads * shape.headDim});
  const Tensor sums = Output(context, 1, {q.length(0), shape.heads});
  const Forward with = {
    shape, q.data<float>(), k.data<float>(), v.data<float>(), out.data<float>(), sums.data<float>()};
  const auto attend = Chosen(AttendAvx512, AttendAvx2, AttendPlain);
  Parallel(shape.Blocks() * shape.batch * shape.heads, [&](int64_t piece) { attend(with, piece); });
}
const bool causalAttention = Register<Attend>(
    "CausalAttention", {"q: float", "k: float", "v: float"},
    {"out: float", "sums: float"});

constexpr int64_t kPieces = 12; // so many at least, for threads to share evenly

// → dq, dk, dv, of the shapes of q, k and v
void AttendBack(TF_OpKernelContext *context) {
  const Tensor q = Input(context, 0), k = Input(context, 1), v = Input(context, 2);
  const Tensor out = Input(context, 3), sums = Input(context, 4), dOut = Input(context, 5);
  const Shape shape = ShapeOf(q, k);
  const Tensor dq = Output(context, 0, {q.length(0), shape.heads, shape.headDim});
  const Tensor dk = Output(context, 1, {shape.batch, shape.seq, shape.kvHeads, shape.headDim});
  const Tensor dv = Output(context, 2, {shape.batch, shape.seq, shape.kvHeads, shape.headDim});
  const int64_t pieces = shape.batch * shape.kvHeads;
  const int64_t slices = std::min((kPieces + pieces - 1) / pieces, shape.heads / shape.kvHeads * shape.Blocks());
  const int64_t size = k.size();
  const std::unique_ptr<float[]> others(new float[2 * (slices - 1) * size]);
  const Backward with = {
    shape, q.data<float>(), k.data<float>(), v.data<float>(), out.data<float>(), sums.data<float>(),
    dOut.data<float>(), dq.data<float>(), dk.data<float>(), dv.data<float>(), slices, others.get()};
  const auto gradients = Chosen(GradientsAvx512, GradientsAvx2, GradientsPlain);
  Parallel(pieces * slices, [&](int64_t piece) { gradients(with, piece); });
  if (slices == 1) return;
  const int64_t rows = shape.batch * shape.seq, row = size / rows;
  Parallel((rows + kBlock - 1) / kBlock, [&](int64_t block) {
    const int64_t begin = block * kBlock * row, end = std::min(size, begin + kBlock * row);
    for (int64_t slice = 0; slice < slices - 1; slice++) {
      const float *dkOf = with.others + 2 * slice * size, *dvOf = dkOf + size;
      for (int64_t i = begin; i < end; i++) with.dk[i] += dkOf[i];
      for (int64_t i = begin; i < end; i++) with.dv[i] += dvOf[i];
    }
  });
}
const bool causalAttentionGradients = Register<AttendBack>(
    "CausalAttentionGradients", {"q: float", "k: float", "v: float", "out: float", "sums: float", "d_out: float"},
    {"dq: float", "dk: float", "dv: float"});

}  // namespace
