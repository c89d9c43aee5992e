// The kernels: plain functions over pointers. They know neither torch nor Python, so they are compiled once for
// every CPython and every torch.
#pragma once

#include <cstdint>

namespace wheelfuse_reference {

enum class Element { bfloat16, float16, float32 };

inline int64_t size_of(Element element) { return element == Element::float32 ? 4 : 2; }

// Rows of equal length in memory: elements of a row are adjacent, rows begin `stride` elements apart.
struct Rows {
  const void* data;
  Element element;
  int64_t count;
  int64_t length;
  int64_t stride;
};

// Where a CUDA kernel runs: the index of the device and a cudaStream_t of it.
struct Queue {
  int device;
  void* stream;
};

// What comes out of a quantisation: e4m3 bytes, row after row without gaps, and the scales.
template <typename Scale>
struct Quantized {
  uint8_t* values;
  Scale* scales;
};

// RMSNorm, then e4m3 with one scale for each row:
//
//   root = 1 / sqrt(float32(mean(x * x) + epsilon))
//   scale = max(max|x * weight| * root / 448, smallest_scale)
//   value = e4m3((x * weight) * (root / scale))       to nearest even, saturating
//
// in float32, but for the mean: the squares of four neighbours are added in float32, (a + b) + (c + d), and these sums
// in float64. That makes the scale the same in whichever order they are added up (but for one row in some ten million,
// whose mean lies within 1e-16 of a rounding boundary), so the CPU and every kernel agree to the bit.
// An infinity or NaN in a row makes its scale and its values NaN.
// `weight` has `length` elements of the type of the input.
constexpr float smallest_scale = 0x1p-64f;  // root / scale stays finite

void rms_norm_fp8_cpu(const Rows& input, const void* weight, double epsilon, const Quantized<float>& output);

// MXFP8 of the OCP Microscaling Formats specification 1.0: blocks of 32 along the row, each with a power of two:
//
//   scale = 2 ^ (floor(log2(max|x|)) - 8)             8 is the exponent of e4m3's greatest binade
//   value = e4m3(x / scale)                           to nearest even, saturating
//
// The exponent is rounded down, as the specification does it (section 6.3): a greatest element in (448, 512) * scale
// saturates to 448. The scale is stored as e8m0, the exponent plus 127; below 2^-127 it stays 2^-127. A block with an
// infinity or NaN has the scale 255 (NaN) and NaN values. The last block of a row may be shorter than 32.
constexpr int64_t mx_block = 32;

void mxfp8_cpu(const Rows& input, const Quantized<uint8_t>& output);

// The same on a GPU. They only launch: an error is what CUDA says of the launch, in words, or null.
const char* rms_norm_fp8_cuda(const Rows& input, const void* weight, double epsilon, const Quantized<float>& output,
                              Queue queue);
const char* mxfp8_cuda(const Rows& input, const Quantized<uint8_t>& output, Queue queue);

}  // namespace wheelfuse_reference
