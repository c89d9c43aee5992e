// The kernels on the CPU: plain loops, to be read beside the definitions in kernels.h.
#include <algorithm>
#include <cmath>
#include <limits>

#include "formats.h"
#include "kernels.h"

namespace wheelfuse_reference {
namespace {

float element_at(const void* data, Element element, int64_t index) {
  switch (element) {
    case Element::bfloat16:
      return from_bfloat16(static_cast<const uint16_t*>(data)[index]);
    case Element::float16:
      return from_float16(static_cast<const uint16_t*>(data)[index]);
    case Element::float32:
      return static_cast<const float*>(data)[index];
  }
  return std::numeric_limits<float>::quiet_NaN();
}

float greater(float magnitude, float value) {
  value = std::fabs(value);
  return std::isnan(value) || value > magnitude ? value : magnitude;  // once NaN, it stays NaN
}

}  // namespace

void rms_norm_fp8_cpu(const Rows& input, const void* weight, double epsilon, const Quantized<float>& output) {
  const double reciprocal_length = input.length ? 1.0 / static_cast<double>(input.length) : 0;
  for (int64_t row = 0; row < input.count; ++row) {
    const auto x = [&](int64_t i) { return element_at(input.data, input.element, row * input.stride + i); };
    const auto product = [&](int64_t i) { return x(i) * element_at(weight, input.element, i); };
    double sum = 0;
    float magnitude = 0;
    for (int64_t i = 0; i < input.length; i += 4) {
      float squares[4] = {};
      for (int64_t j = i; j < std::min(i + 4, input.length); ++j) {
        squares[j - i] = x(j) * x(j);
        magnitude = greater(magnitude, product(j));
      }
      sum += (squares[0] + squares[1]) + (squares[2] + squares[3]);
    }
    const float root = 1.0f / std::sqrt(static_cast<float>(sum * reciprocal_length + epsilon));
    float scale = magnitude * root / 448.0f;
    if (scale < smallest_scale) scale = smallest_scale;
    const float factor = root / scale;
    uint8_t* values = output.values + row * input.length;
    for (int64_t i = 0; i < input.length; ++i) values[i] = to_e4m3(product(i) * factor);
    output.scales[row] = scale;
  }
}

void mxfp8_cpu(const Rows& input, const Quantized<uint8_t>& output) {
  uint8_t* values = output.values;
  uint8_t* scales = output.scales;
  for (int64_t row = 0; row < input.count; ++row) {
    for (int64_t first = 0; first < input.length; first += mx_block) {
      const int64_t last = std::min(first + mx_block, input.length);
      const auto x = [&](int64_t i) { return element_at(input.data, input.element, row * input.stride + i); };
      float magnitude = 0;
      for (int64_t i = first; i < last; ++i) magnitude = greater(magnitude, x(i));
      const int exponent = static_cast<int>(bits_of(magnitude) >> 23 & 0xff);
      const int scale = exponent == 255 ? 255 : std::max(exponent - 8, 0);
      const float reciprocal = scale == 255 ? std::numeric_limits<float>::quiet_NaN() : std::ldexp(1.0f, 127 - scale);
      for (int64_t i = first; i < last; ++i) *values++ = to_e4m3(x(i) * reciprocal);
      *scales++ = static_cast<uint8_t>(scale);
    }
  }
}

}  // namespace wheelfuse_reference
