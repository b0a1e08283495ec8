// What our operations for native TensorFlow on the processor have in common, by TensorFlow's C API.
#pragma once

#include <cstdint>
#include <initializer_list>

#define IS_SLIM_BUILD // spares a header that pulls in others
#include "tensorflow/c/kernels.h"
#include "tensorflow/c/ops.h"

// A tensor that an operation takes or gives, row-major.
class Tensor {
 public:
  explicit Tensor(TF_Tensor *tensor) : tensor_(tensor) {}
  ~Tensor() { TF_DeleteTensor(tensor_); }
  Tensor(const Tensor &) = delete;

  template <typename T>
  T *data() const { return static_cast<T *>(TF_TensorData(tensor_)); }
  int64_t size() const { return TF_TensorElementCount(tensor_); }
  int64_t length(int dimension) const { return TF_Dim(tensor_, dimension); }

 private:
  TF_Tensor *tensor_;
};

inline Tensor Input(TF_OpKernelContext *context, int index) {
  TF_Tensor *tensor = nullptr;
  TF_Status *status = TF_NewStatus();
  TF_GetInput(context, index, &tensor, status); // fails for none of those that are registered
  TF_DeleteStatus(status);
  return Tensor(tensor);
}

inline Tensor Output(TF_OpKernelContext *context, int index, std::initializer_list<int64_t> shape) {
  const TF_DataType type = TF_ExpectedOutputDataType(context, index);
  size_t bytes = TF_DataTypeSize(type);
  for (int64_t length : shape) bytes *= length;
  TF_Status *status = TF_NewStatus();
  TF_Tensor *tensor = TF_AllocateOutput(context, index, type, shape.begin(), static_cast<int>(shape.size()), bytes, status);
  TF_DeleteStatus(status);
  return Tensor(tensor);
}

// What an operation's attributes say.
class Attributes {
 public:
  explicit Attributes(TF_OpKernelConstruction *construction) : construction_(construction), status_(TF_NewStatus()) {}
  ~Attributes() { TF_DeleteStatus(status_); }
  Attributes(const Attributes &) = delete;

  int64_t Integer(const char *name) const { return Get<int64_t>(TF_OpKernelConstruction_GetAttrInt64, name); }
  float Number(const char *name) const { return Get<float>(TF_OpKernelConstruction_GetAttrFloat, name); }
  bool Flag(const char *name) const { return Get<TF_Bool>(TF_OpKernelConstruction_GetAttrBool, name); }

 private:
  template <typename T>
  T Get(void (*get)(TF_OpKernelConstruction *, const char *, T *, TF_Status *), const char *name) const {
    T value{};
    get(construction_, name, &value, status_);
    return value;
  }

  TF_OpKernelConstruction *construction_;
  TF_Status *status_;
};

// Makes an operation known to TensorFlow, as the binding is loaded. Each of `attributes`, `inputs` and `outputs` is as in
// "x: float". A `Kernel` is made of its attributes once, and computes as often as it is asked to.
template <typename Kernel>
bool Register(const char *name, std::initializer_list<const char *> attributes, std::initializer_list<const char *> inputs,
              std::initializer_list<const char *> outputs) {
  TF_Status *status = TF_NewStatus();
  TF_OpDefinitionBuilder *definition = TF_NewOpDefinitionBuilder(name);
  for (const char *each : attributes) TF_OpDefinitionBuilderAddAttr(definition, each);
  for (const char *each : inputs) TF_OpDefinitionBuilderAddInput(definition, each);
  for (const char *each : outputs) TF_OpDefinitionBuilderAddOutput(definition, each);
  TF_OpDefinitionBuilderSetShapeInferenceFunction(definition, TF_ShapeInferenceContextSetUnknownShape);
  TF_RegisterOpDefinition(definition, status);
  TF_RegisterKernelBuilder(name, TF_NewKernelBuilder(
      name, "CPU",
      [](TF_OpKernelConstruction *construction) -> void * { return new Kernel(Attributes(construction)); },
      [](void *kernel, TF_OpKernelContext *context) { static_cast<const Kernel *>(kernel)->Compute(context); },
      [](void *kernel) { delete static_cast<Kernel *>(kernel); }), status);
  const bool done = TF_GetCode(status) == TF_OK;
  TF_DeleteStatus(status);
  return done;
}

// One that has no attributes.
template <void (*compute)(TF_OpKernelContext *)>
bool Register(const char *name, std::initializer_list<const char *> inputs, std::initializer_list<const char *> outputs) {
  struct Kernel {
    explicit Kernel(const Attributes &) {}
    void Compute(TF_OpKernelContext *context) const { compute(context); }
  };
  return Register<Kernel>(name, {}, inputs, outputs);
}
