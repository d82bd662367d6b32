// Operations that tch does not offer, or that one pass over memory does better than several.
#include "shim.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/_fused_adam.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/_fused_sgd.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/ceil.h>
#include <ATen/ops/clamp.h>
#include <ATen/ops/copysign.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/round.h>
#include <ATen/ops/where.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>

// One copy of a loop per instruction set, chosen when the program is loaded.
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__)
#define EVERY_CPU __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define EVERY_CPU
#endif

namespace {
// code(x) = clamp(round(x * inverse + offset) + zero_point, 0, max_code)
// level(c) = (step * c - zero) * scale
struct Grid {
  float inverse;
  float offset;
  float zero_point;
  float max_code;
  float step;
  float zero;
  float scale;
  // Ties go toward zero instead of to the even neighbour.
  bool half_to_zero;
  // Tensor operations, as on a GPU, instead of the loops for the CPU.
  bool general;
};

inline float half_to_even(float x) { return std::rint(x); }

// Where a tie is possible the subtraction is exact.
inline float half_to_zero(float x) { return std::copysign(std::ceil(std::fabs(x) - 0.5f), x); }

// A NaN passes both comparisons by and stays a NaN: it must not become a level.
inline float clamped(float rounded, const Grid& grid) {
  float code = rounded + grid.zero_point;
  code = code < 0.0f ? 0.0f : code;
  return code > grid.max_code ? grid.max_code : code;
}

inline float level_of(float code, const Grid& grid) { return (grid.step * code - grid.zero) * grid.scale; }

inline uint8_t byte_of(float code) { return static_cast<uint8_t>(static_cast<int32_t>(code)); }

EVERY_CPU void levels_of(const float* x, float* y, int64_t count, Grid grid) {
  if (grid.half_to_zero) {
    for (int64_t i = 0; i < count; ++i) y[i] = level_of(clamped(half_to_zero(x[i] * grid.inverse + grid.offset), grid), grid);
  } else {
    for (int64_t i = 0; i < count; ++i) y[i] = level_of(clamped(half_to_even(x[i] * grid.inverse + grid.offset), grid), grid);
  }
}

EVERY_CPU void codes_of(const float* x, uint8_t* y, int64_t count, Grid grid) {
  if (grid.half_to_zero) {
    for (int64_t i = 0; i < count; ++i) y[i] = byte_of(clamped(half_to_zero(x[i] * grid.inverse + grid.offset), grid));
  } else {
    for (int64_t i = 0; i < count; ++i) y[i] = byte_of(clamped(half_to_even(x[i] * grid.inverse + grid.offset), grid));
  }
}

EVERY_CPU void gate(const float* x, const float* g, float* y, int64_t count, float low, float high) {
  for (int64_t i = 0; i < count; ++i) y[i] = (x[i] >= low && x[i] <= high) ? g[i] : 0.0f;
}

constexpr int64_t grain = 1 << 15;

bool fast(const at::Tensor& x) { return x.is_cpu() && x.scalar_type() == at::kFloat; }

at::Tensor dense(const at::Tensor& x) { return x.contiguous(x.suggest_memory_format()); }

at::Tensor code_tensor(const at::Tensor& x, const Grid& grid) {
  at::Tensor scaled = (x * grid.inverse).add_(grid.offset);
  at::Tensor rounded =
      grid.half_to_zero ? at::abs(scaled).sub_(0.5).ceil_().copysign_(scaled) : at::round(scaled);
  return rounded.add_(grid.zero_point).clamp_(0, grid.max_code);
}

at::Tensor levels(const at::Tensor& input, const Grid& grid) {
  if (grid.general || !fast(input)) return code_tensor(input, grid).mul_(grid.step).sub_(grid.zero).mul_(grid.scale);
  at::Tensor x = dense(input);
  at::Tensor y = at::empty_like(x);
  const float* from = x.const_data_ptr<float>();
  float* to = y.mutable_data_ptr<float>();
  at::parallel_for(0, x.numel(), grain, [&](int64_t a, int64_t b) { levels_of(from + a, to + a, b - a, grid); });
  return y;
}

struct FakeQuantize : torch::autograd::Function<FakeQuantize> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x, Grid grid, double low,
                            double high) {
    context->save_for_backward({x});
    context->saved_data["low"] = low;
    context->saved_data["high"] = high;
    context->saved_data["general"] = grid.general;
    return levels(x, grid);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    at::Tensor x = context->get_saved_variables()[0];
    double low = context->saved_data["low"].toDouble();
    double high = context->saved_data["high"].toDouble();
    at::Tensor g = gradients[0];
    at::Tensor result;
    if (!context->saved_data["general"].toBool() && fast(x) && fast(g)) {
      x = dense(x);
      g = g.contiguous(x.suggest_memory_format());
      result = at::empty_like(x);
      const float* at_x = x.const_data_ptr<float>();
      const float* at_g = g.const_data_ptr<float>();
      float* to = result.mutable_data_ptr<float>();
      at::parallel_for(0, x.numel(), grain, [&](int64_t a, int64_t b) {
        gate(at_x + a, at_g + a, to + a, b - a, static_cast<float>(low), static_cast<float>(high));
      });
    } else {
      result = at::where((x >= low).logical_and_(x <= high), g, 0.0);
    }
    return {result, at::Tensor(), at::Tensor(), at::Tensor()};
  }
};
}  // namespace

extern "C" {
// Values on the grid; gradient 1 for low <= x <= high, 0 elsewhere. Null on failure.
at::Tensor* ht_fake_quantize(const at::Tensor* x, const Grid* grid, double low, double high) {
  at::Tensor* result = nullptr;
  harness::guarded([&] { result = harness::give(FakeQuantize::apply(*x, *grid, low, high)); });
  return result;
}

// Codes on the grid, u8. Null on failure.
at::Tensor* ht_quantize_codes(const at::Tensor* input, const Grid* grid) {
  at::Tensor* result = nullptr;
  harness::guarded([&] {
    at::NoGradGuard no_grad;
    if (grid->general || !fast(*input)) {
      result = harness::give(code_tensor(*input, *grid).to(at::kByte));
      return;
    }
    at::Tensor x = dense(*input);
    at::Tensor y = at::empty_like(x, x.options().dtype(at::kByte));
    const float* from = x.const_data_ptr<float>();
    uint8_t* to = y.mutable_data_ptr<uint8_t>();
    at::parallel_for(0, x.numel(), grain, [&](int64_t a, int64_t b) { codes_of(from + a, to + a, b - a, *grid); });
    result = harness::give(y);
  });
  return result;
}

// The same values, laid out in memory as channels-last (4 dimensions) or contiguous.
at::Tensor* ht_memory_format(const at::Tensor* x, bool channels_last) {
  at::Tensor* result = nullptr;
  auto format = channels_last ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous;
  harness::guarded([&] { result = harness::give(x->contiguous(format)); });
  return result;
}

bool ht_sgd(at::Tensor* const* values, at::Tensor* const* gradients, at::Tensor* const* momenta, size_t count,
            double lr, double momentum, double weight_decay, bool nesterov) {
  return harness::guarded([&] {
    at::NoGradGuard no_grad;
    auto buffers = momentum == 0.0 ? std::vector<at::Tensor>() : harness::list(momenta, count);
    at::_fused_sgd_(harness::list(values, count), harness::list(gradients, count), buffers, weight_decay, momentum, lr,
                    /*dampening=*/0.0, nesterov, /*maximize=*/false, /*is_first_step=*/false);
  });
}

bool ht_adam(at::Tensor* const* values, at::Tensor* const* gradients, at::Tensor* const* first_moments,
             at::Tensor* const* second_moments, at::Tensor* const* steps, size_t count, double lr, double beta1,
             double beta2, double eps, double weight_decay, bool decoupled) {
  return harness::guarded([&] {
    at::NoGradGuard no_grad;
    auto v = harness::list(values, count);
    auto g = harness::list(gradients, count);
    auto m1 = harness::list(first_moments, count);
    auto m2 = harness::list(second_moments, count);
    auto t = harness::list(steps, count);
    auto update = [&](auto fused) {
      fused(v, g, m1, m2, std::vector<at::Tensor>(), t, lr, beta1, beta2, weight_decay, eps, /*amsgrad=*/false,
            /*maximize=*/false);
    };
    auto plain = [](auto&&... all) { at::_fused_adam_(all...); };
    auto decay = [](auto&&... all) { at::_fused_adamw_(all...); };
    decoupled ? update(decay) : update(plain);
  });
}
}
