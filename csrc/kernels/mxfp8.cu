// MXFP8 on a GPU. A warp quantises 32 blocks: with 16 bytes or four elements for each thread at a time where the rows
// allow it, else element by element.

#include "device.cuh"

namespace wheelfuse_reference {
namespace {

constexpr int threads = 256;
constexpr int warps = threads / warp_size;
constexpr int blocks_per_warp = 32;
constexpr int elements_per_warp = blocks_per_warp * mx_block;

// The e8m0 scale of a block whose greatest magnitude has these bits: its exponent less 8, or NaN.
__device__ unsigned scale_of(unsigned magnitude) {
  const unsigned exponent = magnitude >> 23;
  return exponent == 255 ? 255 : max(static_cast<int>(exponent) - 8, 0);
}

// 2 ^ -(scale - 127), which float32 always has; NaN for NaN.
__device__ float reciprocal_of(unsigned scale) {
  return __uint_as_float(scale == 255 ? 0x7fc00000u : (254 - scale) << 23);
}

// What a warp has to do: 32 blocks of one row.
template <typename T>
struct Part {
  const T* input;
  uint8_t* values;
  uint8_t* scales;
  int64_t length;  // from here to the end of the row

  // Whether there is something for this warp.
  __device__ bool find(const T* input, const Rows& rows, int64_t parts, const Quantized<uint8_t>& output) {
    const int64_t part = static_cast<int64_t>(blockIdx.x) * warps + threadIdx.x / warp_size;
    const int64_t row = rows.count == 1 ? 0 : part / parts;  // a division takes longer than many blocks
    const int64_t column = (part - row * parts) * elements_per_warp;
    this->input = input + row * rows.stride + column;
    values = output.values + row * rows.length + column;
    scales = output.scales + row * ((rows.length + mx_block - 1) / mx_block) + column / mx_block;
    length = rows.length - column;
    return row < rows.count && length > 0;
  }
};

template <typename T, int width>
__global__ void __launch_bounds__(threads)
    mxfp8_by_vectors(const T* input, Rows rows, int64_t parts, Quantized<uint8_t> output) {
  constexpr int rounds = elements_per_warp / warp_size / width;
  constexpr int lanes_per_block = mx_block / width;
  constexpr int blocks_per_round = warp_size / lanes_per_block;

  Part<T> part;
  if (!part.find(input, rows, parts, output)) return;  // the whole warp
  const int lane = threadIdx.x % warp_size;

  Vector<T, width> vectors[rounds];
#pragma unroll
  for (int round = 0; round < rounds; ++round) {
    const int column = (round * warp_size + lane) * width;
    vectors[round].load(part.input + column, column < part.length);
  }
  unsigned own_scale = 0;  // that of the block which has the number of this lane
#pragma unroll
  for (int round = 0; round < rounds; ++round) {
    float x[width], magnitude = 0;
    vectors[round].unpack(x);
#pragma unroll
    for (int i = 0; i < width; ++i) magnitude = greatest(magnitude, x[i]);
    unsigned bits = __float_as_uint(magnitude);
#pragma unroll
    for (int mask = lanes_per_block / 2; mask; mask /= 2) bits = max(bits, __shfl_xor_sync(whole_warp, bits, mask));
    const unsigned scale = scale_of(bits);
    const unsigned sent = __shfl_sync(whole_warp, scale, lane % blocks_per_round * lanes_per_block);
    if (lane / blocks_per_round == round) own_scale = sent;

    const float reciprocal = reciprocal_of(scale);
#pragma unroll
    for (int i = 0; i < width; ++i) x[i] *= reciprocal;
    const int column = (round * warp_size + lane) * width;
    if (column < part.length) store_e4m3(part.values + column, x);
  }
  if (lane * mx_block < part.length) part.scales[lane] = own_scale;
}

template <typename T>
__global__ void __launch_bounds__(threads)
    mxfp8_by_elements(const T* input, Rows rows, int64_t parts, Quantized<uint8_t> output) {
  Part<T> part;
  if (!part.find(input, rows, parts, output)) return;
  const int lane = threadIdx.x % warp_size;
#pragma unroll 8
  for (int block = 0; block < blocks_per_warp; ++block) {
    const int column = block * mx_block + lane;
    const float x = column < part.length ? to_float(part.input[column]) : 0;
    const unsigned scale = scale_of(__float_as_uint(greatest_of_warp(fabsf(x))));
    if (column < part.length) part.values[column] = e4m3(x * reciprocal_of(scale));
    if (lane == 0 && column < part.length) part.scales[block] = scale;
  }
}

template <typename T>
auto choose(const Rows& rows, const Quantized<uint8_t>& output) {
  constexpr int wide = 16 / sizeof(T);
  const auto made_of = [&](int width) {
    return rows.length % width == 0 && rows.stride % width == 0 && is_aligned(rows.data, width * sizeof(T)) &&
           is_aligned(output.values, width);
  };
  return made_of(wide) ? mxfp8_by_vectors<T, wide> : made_of(4) ? mxfp8_by_vectors<T, 4> : mxfp8_by_elements<T>;
}

}  // namespace

const char* mxfp8_cuda(const Rows& input, const Quantized<uint8_t>& output, Queue queue) {
  if (input.count == 0 || input.length == 0) return nullptr;
  const OnDevice scope(queue.device);
  if (scope.error() != cudaSuccess) return message_of(scope.error());

  Rows rows = input;
  const bool one = rows.stride == rows.length && rows.length % mx_block == 0;  // no block has parts of two rows
  if (one) rows = {rows.data, rows.element, 1, rows.count * rows.length, rows.count * rows.length};
  const int64_t parts = (rows.length + elements_per_warp - 1) / elements_per_warp;
  const int64_t grid = (rows.count * parts + warps - 1) / warps;
  return message_of(for_element(rows.element, [&](auto* type) {
    using T = std::remove_const_t<std::remove_pointer_t<decltype(type)>>;
    const auto kernel = choose<T>(rows, output);
    kernel<<<static_cast<unsigned>(grid), threads, 0, static_cast<cudaStream_t>(queue.stream)>>>(
        static_cast<const T*>(rows.data), rows, parts, output);
    return cudaGetLastError();
  }));
}

}  // namespace wheelfuse_reference
