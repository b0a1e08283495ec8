// What a block does with each row on its own: RMSNorm, SwiGLU and the rotary embedding, each with its gradient, and each
// once through memory.
#include <algorithm>
#include <cmath>

#include "operation.h"
#include "pool.h"
#include "vector.h"

namespace {

constexpr int64_t kPiece = 16384; // numbers that a thread takes at a time

// Does `some` for all parts of `count` rows of `width` numbers.
template <typename F>
void ByParts(int64_t count, int64_t width, F some) {
  const int64_t rows = std::max<int64_t>(1, kPiece / width);
  Parallel((count + rows - 1) / rows, [&](int64_t part) { some(part * rows, std::min(count, (part + 1) * rows)); });
}

// A function for each kind of processor, and Run<Name>(with, count, width), which does the right one by parts.
#define FOR_EACH_PROCESSOR(Name, Given) \
  AVX512 void Name##Avx512(const Given &with, int64_t begin, int64_t end) { Name(with, begin, end); } \
  AVX2 void Name##Avx2(const Given &with, int64_t begin, int64_t end) { Name(with, begin, end); } \
  void Name##Plain(const Given &with, int64_t begin, int64_t end) { Name(with, begin, end); } \
  void Run##Name(const Given &with, int64_t count, int64_t width) { \
    const auto some = Chosen(Name##Avx512, Name##Avx2, Name##Plain); \
    ByParts(count, width, [&](int64_t begin, int64_t end) { some(with, begin, end); }); \
  }

struct Norm {
  int64_t width;
  float epsilon;
  const float *x, *weight;
  float *y, *scale;
};

INLINE void Normalize(const Norm &with, int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; row++) {
    const float *const x = with.x + row * with.width;
    Vector squares = {};
    for (int64_t i = 0; i < with.width; i += kLanes) {
      const Vector some = Load(x + i, with.width - i);
      squares += some * some;
    }
    const float scale = 1 / std::sqrt(Sum(squares) / with.width + with.epsilon);
    for (int64_t i = 0; i < with.width; i += kLanes) {
      const int64_t left = with.width - i;
      Store(with.y + row * with.width + i, Load(x + i, left) * scale * Load(with.weight + i, left), left);
    }
    with.scale[row] = scale;
  }
}
FOR_EACH_PROCESSOR(Normalize, Norm)

struct NormBack {
  int64_t width;
  const float *x, *weight, *scale, *dy;
  float *dx;
};

// With g = dy · weight and n = x · scale: scale · (g − n · mean(g · n)).
INLINE void NormalizeBack(const NormBack &with, int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; row++) {
    const float *const x = with.x + row * with.width, *const dy = with.dy + row * with.width;
    const float scale = with.scale[row];
    Vector products = {};
    for (int64_t i = 0; i < with.width; i += kLanes) {
      const int64_t left = with.width - i;
      products += Load(dy + i, left) * Load(with.weight + i, left) * Load(x + i, left);
    }
    const float mean = Sum(products) / with.width * scale * scale;
    for (int64_t i = 0; i < with.width; i += kLanes) {
      const int64_t left = with.width - i;
      const Vector g = Load(dy + i, left) * Load(with.weight + i, left);
      Store(with.dx + row * with.width + i, (g - Load(x + i, left) * mean) * scale, left);
    }
  }
}
FOR_EACH_PROCESSOR(NormalizeBack, NormBack)

INLINE Vector Sigmoid(const Vector &x) {
  const Vector power = Exp2((x < 0.f ? x : -x) * 1.44269504f); // e^−|x|
  return (x < 0.f ? power : Vector{} + 1) / (1 + power);
}

struct Gate {
  const float *gate, *up, *dy;
  float *y, *dGate, *dUp;
};

INLINE void Open(const Gate &with, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; i += kLanes) {
    const Vector gate = Load(with.gate + i, end - i);
    Store(with.y + i, gate * Sigmoid(gate) * Load(with.up + i, end - i), end - i);
  }
}
FOR_EACH_PROCESSOR(Open, Gate)

// silu'(a) = σ(a) + silu(a) · (1 − σ(a))
INLINE void OpenBack(const Gate &with, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; i += kLanes) {
    const int64_t left = end - i;
    const Vector gate = Load(with.gate + i, left), dy = Load(with.dy + i, left);
    const Vector sigmoid = Sigmoid(gate), silu = gate * sigmoid;
    Store(with.dGate + i, dy * Load(with.up + i, left) * (sigmoid + silu * (1 - sigmoid)), left);
    Store(with.dUp + i, dy * silu, left);
  }
}
FOR_EACH_PROCESSOR(OpenBack, Gate)

struct Rotation {
  int64_t heads, headDim;
  float sign;
  const float *x, *cos, *sin;
  float *y;
};

INLINE void Rotate(const Rotation &with, int64_t begin, int64_t end) {
  const int64_t half = with.headDim / 2;
  for (int64_t row = begin; row < end; row++) {
    const float *const cos = with.cos + row * with.headDim, *const sin = with.sin + row * with.headDim;
    for (int64_t head = 0; head < with.heads; head++) {
      const int64_t at = (row * with.heads + head) * with.headDim;
      for (int64_t i = 0; i < half; i += kLanes) {
        const int64_t left = half - i, j = half + i;
        const Vector first = Load(with.x + at + i, left), second = Load(with.x + at + j, left);
        Store(with.y + at + i, first * Load(cos + i, left) - second * (Load(sin + i, left) * with.sign), left);
        Store(with.y + at + j, second * Load(cos + j, left) + first * (Load(sin + j, left) * with.sign), left);
      }
    }
  }
}
FOR_EACH_PROCESSOR(Rotate, Rotation)

// x: (rows, width), weight: (width) → y: (rows, width), scale: (rows, 1)
struct RmsNorm {
  explicit RmsNorm(const Attributes &given) : epsilon(given.Number("epsilon")) {}
  void Compute(TF_OpKernelContext *context) const {
    const Tensor x = Input(context, 0), weight = Input(context, 1);
    const int64_t rows = x.length(0), width = x.length(1);
    const Tensor y = Output(context, 0, {rows, width}), scale = Output(context, 1, {rows, 1});
    RunNormalize({width, epsilon, x.data<float>(), weight.data<float>(), y.data<float>(), scale.data<float>()}, rows, width);
  }
  const float epsilon;
};
const bool rmsNorm = Register<RmsNorm>(
    "RmsNorm", {"epsilon: float"}, {"x: float", "weight: float"}, {"y: float", "scale: float"});

// → dx: (rows, width)
void RmsNormGradient(TF_OpKernelContext *context) {
  const Tensor x = Input(context, 0), weight = Input(context, 1), scale = Input(context, 2), dy = Input(context, 3);
  const int64_t rows = x.length(0), width = x.length(1);
  const Tensor dx = Output(context, 0, {rows, width});
  RunNormalizeBack({width, x.data<float>(), weight.data<float>(), scale.data<float>(), dy.data<float>(),
    dx.data<float>()}, rows, width);
}
const bool rmsNormGradient = Register<RmsNormGradient>(
    "RmsNormGradient", {"x: float", "weight: float", "scale: float", "dy: float"}, {"dx: float"});

// gate, up: (rows, width) → (rows, width)
void Swiglu(TF_OpKernelContext *context) {
  const Tensor gate = Input(context, 0), up = Input(context, 1);
  const Tensor y = Output(context, 0, {gate.length(0), gate.length(1)});
  RunOpen({gate.data<float>(), up.data<float>(), nullptr, y.data<float>(), nullptr, nullptr}, gate.size(), 1);
}
const bool swiglu = Register<Swiglu>("Swiglu", {"gate: float", "up: float"}, {"y: float"});

// → d_gate, d_up: (rows, width)
void SwigluGradients(TF_OpKernelContext *context) {
  const Tensor gate = Input(context, 0), up = Input(context, 1), dy = Input(context, 2);
  const Tensor dGate = Output(context, 0, {gate.length(0), gate.length(1)});
  const Tensor dUp = Output(context, 1, {gate.length(0), gate.length(1)});
  RunOpenBack({gate.data<float>(), up.data<float>(), dy.data<float>(), nullptr, dGate.data<float>(),
    dUp.data<float>()}, gate.size(), 1);
}
const bool swigluGradients = Register<SwigluGradients>(
    "SwigluGradients", {"gate: float", "up: float", "dy: float"}, {"d_gate: float", "d_up: float"});

// x · cos + sign · rotate_half(x) · sin. x: (rows, heads, headDim), cos and sin: (rows, 1, headDim) → as x
struct RotateKernel {
  explicit RotateKernel(const Attributes &given) : sign(given.Integer("sign")) {}
  void Compute(TF_OpKernelContext *context) const {
    const Tensor x = Input(context, 0), cos = Input(context, 1), sin = Input(context, 2);
    const int64_t rows = x.length(0), heads = x.length(1), headDim = x.length(2);
    const Tensor y = Output(context, 0, {rows, heads, headDim});
    RunRotate({heads, headDim, sign, x.data<float>(), cos.data<float>(), sin.data<float>(), y.data<float>()}, rows,
      heads * headDim);
  }
  const float sign;
};
const bool rotate = Register<RotateKernel>(
    "Rotate", {"sign: int"}, {"x: float", "cos: float", "sin: float"}, {"y: float"});

}  // namespace
