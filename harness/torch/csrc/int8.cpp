// libtorch's own int8 layers, which are reached through its dispatcher only.
#include "shim.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/ivalue.h>
#include <ATen/core/stack.h>

namespace {
// Packed weights of a convolution, as the operator that packs them returns them.
struct Int8Conv2d {
  c10::IValue packed;
};

c10::IValue call(const char* name, const char* overload, torch::jit::Stack stack) {
  auto op = c10::Dispatcher::singleton().findSchemaOrThrow(name, overload);
  op.callBoxed(&stack);
  return stack.at(0);
}
}  // namespace

extern "C" {
// `weight` is quantized to int8. Null on failure.
Int8Conv2d* ht_int8_conv2d_new(const at::Tensor* weight, const int64_t* stride, const int64_t* padding,
                               const int64_t* dilation, int64_t groups) {
  Int8Conv2d* result = nullptr;
  harness::guarded([&] {
    auto pair = [](const int64_t* values) { return c10::List<int64_t>({values[0], values[1]}); };
    torch::jit::Stack stack{*weight, c10::IValue(), pair(stride), pair(padding), pair(dilation), groups};
    result = new Int8Conv2d{call("quantized::conv2d_prepack", "", std::move(stack))};
  });
  return result;
}

void ht_int8_conv2d_delete(Int8Conv2d* conv) { delete conv; }

// `x` is quantized to uint8, and so is the result.
at::Tensor* ht_int8_conv2d(const Int8Conv2d* conv, const at::Tensor* x, double scale, int64_t zero_point) {
  at::Tensor* result = nullptr;
  harness::guarded([&] {
    torch::jit::Stack stack{*x, conv->packed, scale, zero_point};
    result = harness::give(call("quantized::conv2d", "new", std::move(stack)).toTensor());
  });
  return result;
}
}
