// The operators over thin views of tensors: they check, choose the kernel, and run it. The bindings make the views.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

namespace wheelfuse_reference {

enum class Type { bfloat16, float16, float32, e4m3, byte, other };
enum class Device { cpu, cuda, other };

// A tensor that somebody else owns. Sizes and strides are counted in elements, as torch counts them.
struct View {
  void* data;
  Type type;
  Device device;
  int device_index;
  int64_t rank;
  const int64_t* sizes;
  const int64_t* strides;
};

// What an operator was given is not what it takes.
struct BadArgument : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};

// How many elements of a row share a scale of MXFP8; the last ones of a row may be fewer.
constexpr int64_t block_length = 32;

// Whether rows (along the last dimension) lie at one distance from each other: what the kernels can read as it is.
bool has_rows(const View& tensor);

// Quantise `input`, which has rows, into `values` and `scales`, which are contiguous. `stream` is the cudaStream_t to
// launch on; it is not looked at for tensors on the CPU.
void rms_norm_fp8(const View& input, const View& weight, double epsilon, const View& values, const View& scales,
                  void* stream);
void mxfp8(const View& input, const View& values, const View& scales, void* stream);

}  // namespace wheelfuse_reference
