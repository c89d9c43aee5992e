#include "ops.h"

#include <optional>

#include "kernels.h"

namespace wheelfuse_reference {

static_assert(block_length == mx_block);

namespace {

struct Leading {
  int64_t count, stride;
};

// All dimensions but the last as one, if they lie in memory as one would.
std::optional<Leading> leading(const View& tensor) {
  Leading rows{1, 0};
  for (int64_t i = tensor.rank - 2; i >= 0; --i) {
    if (tensor.sizes[i] == 1) continue;
    if (rows.count == 1) {
      rows = {tensor.sizes[i], tensor.strides[i]};
    } else if (tensor.strides[i] == rows.stride * rows.count) {
      rows.count *= tensor.sizes[i];
    } else {
      return std::nullopt;
    }
  }
  return rows;
}

int64_t elements(const View& tensor) {
  int64_t count = 1;
  for (int64_t i = 0; i < tensor.rank; ++i) count *= tensor.sizes[i];
  return count;
}

bool contiguous(const View& tensor) {
  int64_t stride = 1;
  for (int64_t i = tensor.rank - 1; i >= 0; --i) {
    if (tensor.sizes[i] != 1 && tensor.strides[i] != stride) return false;
    stride *= tensor.sizes[i];
  }
  return true;
}

std::string shape(const View& tensor) {
  std::string text = "[";
  for (int64_t i = 0; i < tensor.rank; ++i) text += (i ? ", " : "") + std::to_string(tensor.sizes[i]);
  return text + "]";
}

void require(bool condition, const std::string& message) {
  if (!condition) throw BadArgument(message);
}

Element element_of(const View& input) {
  switch (input.type) {
    case Type::bfloat16:
      return Element::bfloat16;
    case Type::float16:
      return Element::float16;
    case Type::float32:
      return Element::float32;
    default:
      throw BadArgument("input must be bfloat16, float16 or float32");
  }
}

// An output: contiguous, on the device of the input, and as many elements as it must have.
void check_output(const char* name, const View& output, int64_t count, const View& input) {
  const std::string subject = name;
  require(output.device == input.device && output.device_index == input.device_index,
          subject + " must be on the device of input");
  require(elements(output) == count,
          subject + " must have " + std::to_string(count) + " elements, and has the shape " + shape(output));
  require(elements(output) == 0 || contiguous(output), subject + " must be contiguous");
}

// e4m3 values, which may be taken for what they are in memory.
void check_values(const View& values, int64_t count, const View& input) {
  require(values.type == Type::e4m3 || values.type == Type::byte, "values must be float8_e4m3fn or uint8");
  check_output("values", values, count, input);
}

void check_scales(const View& scales, Type type, const char* type_name, int64_t count, const View& input) {
  require(scales.type == type, std::string("scales must be ") + type_name);
  check_output("scales", scales, count, input);
}

Rows rows_of(const View& input) {
  require(input.rank > 0, "input must have at least one dimension");
  require(input.device != Device::other, "input must be on the CPU or on a CUDA device");
  const int64_t length = input.sizes[input.rank - 1];
  const Element element = element_of(input);
  int64_t count = 1;
  for (int64_t i = 0; i < input.rank - 1; ++i) count *= input.sizes[i];
  if (count == 0 || length == 0) return {nullptr, element, count, length, length};
  const auto rows = leading(input);
  require(rows && has_rows(input), "the rows of input must lie at one distance from each other");
  return {input.data, element, count, length, rows->count == 1 ? length : rows->stride};
}

#ifdef WHEELFUSE_REFERENCE_CUDA
void check_launch(const char* message) {
  if (message) throw std::runtime_error(std::string("CUDA: ") + message);
}
#else
[[noreturn]] void refuse_cuda() { throw std::runtime_error("this build has no kernels for CUDA"); }
#endif

}  // namespace

bool has_rows(const View& tensor) {
  if (elements(tensor) == 0) return true;
  const int64_t last = tensor.rank - 1;
  return last >= 0 && (tensor.sizes[last] == 1 || tensor.strides[last] == 1) && leading(tensor).has_value();
}

void rms_norm_fp8(const View& input, const View& weight, double epsilon, const View& values, const View& scales,
                  [[maybe_unused]] void* stream) {
  const Rows rows = rows_of(input);
  require(weight.type == input.type, "weight must have the type of input");
  require(weight.device == input.device && weight.device_index == input.device_index,
          "weight must be on the device of input");
  require(weight.rank == 1 && weight.sizes[0] == rows.length,
          "weight must have the shape [" + std::to_string(rows.length) + "], and has " + shape(weight));
  require(contiguous(weight), "weight must be contiguous");
  check_values(values, rows.count * rows.length, input);
  check_scales(scales, Type::float32, "float32", rows.count, input);
  const Quantized<float> output{static_cast<uint8_t*>(values.data), static_cast<float*>(scales.data)};
  if (input.device == Device::cpu) return rms_norm_fp8_cpu(rows, weight.data, epsilon, output);
#ifdef WHEELFUSE_REFERENCE_CUDA
  check_launch(rms_norm_fp8_cuda(rows, weight.data, epsilon, output, {input.device_index, stream}));
#else
  refuse_cuda();
#endif
}

void mxfp8(const View& input, const View& values, const View& scales, [[maybe_unused]] void* stream) {
  const Rows rows = rows_of(input);
  const int64_t blocks = (rows.length + mx_block - 1) / mx_block;
  check_values(values, rows.count * rows.length, input);
  check_scales(scales, Type::byte, "uint8", rows.count * blocks, input);
  const Quantized<uint8_t> output{static_cast<uint8_t*>(values.data), static_cast<uint8_t*>(scales.data)};
  if (input.device == Device::cpu) return mxfp8_cpu(rows, output);
#ifdef WHEELFUSE_REFERENCE_CUDA
  check_launch(mxfp8_cuda(rows, output, {input.device_index, stream}));
#else
  refuse_cuda();
#endif
}

}  // namespace wheelfuse_reference
