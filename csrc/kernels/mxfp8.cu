// MXFP8 on a GPU. A warp quantises 32 blocks: with 16 bytes for each thread at a time where the rows allow it, else
// element by element.

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

// 2 ^ -(scale - 127), which float32 always has.
__device__ float reciprocal_of(unsigned scale) { return __uint_as_float(scale == 255 ? 0x7fc00000u : (254 - scale) << 23); }

// The part of the input that this warp has: from which column, of which row.
struct Part {
  int64_t row, column;

  __device__ static Part of_this_warp(int64_t rows, int64_t per_row) {
    const int64_t part = static_cast<int64_t>(blockIdx.x) * warps + threadIdx.x / warp_size;
    if (rows == 1) return {part < per_row ? 0 : 1, part * elements_per_warp};
    const int64_t row = part / per_row;
    return {row, (part - row * per_row) * elements_per_warp};
  }
};

template <typename T>
__global__ void __launch_bounds__(threads)
    mxfp8_by_vectors(const T* __restrict__ input, int64_t rows, int64_t length, int64_t stride, int64_t per_row,
                     uint8_t* __restrict__ values, uint8_t* __restrict__ scales) {
  constexpr int width = per_vector<T>;
  constexpr int rounds = elements_per_warp / warp_size / width;
  constexpr int lanes_per_block = mx_block / width;
  constexpr int blocks_per_round = warp_size / lanes_per_block;

  const Part part = Part::of_this_warp(rows, per_row);
  if (part.row >= rows) return;  // the whole warp
  const int lane = threadIdx.x % warp_size;
  const int64_t first = part.column + lane * width;
  input += part.row * stride;
  values += part.row * length;

  uint4 vectors[rounds];
#pragma unroll
  for (int round = 0; round < rounds; ++round) {
    const int64_t column = first + round * warp_size * width;
    vectors[round] = column < length ? load_once(input + column) : make_uint4(0, 0, 0, 0);
  }
  unsigned own_scale = 0;  // that of the block which has the number of this lane
#pragma unroll
  for (int round = 0; round < rounds; ++round) {
    const int64_t column = first + round * warp_size * width;
    const Floats<T> x(vectors[round]);
    float magnitude = 0;
#pragma unroll
    for (int i = 0; i < width; ++i) magnitude = greatest(magnitude, x.element[i]);
    unsigned bits = __float_as_uint(magnitude);
#pragma unroll
    for (int mask = lanes_per_block / 2; mask; mask /= 2) bits = max(bits, __shfl_xor_sync(whole_warp, bits, mask));
    const unsigned scale = scale_of(bits);
    const unsigned sent = __shfl_sync(whole_warp, scale, lane % blocks_per_round * lanes_per_block);
    if (lane / blocks_per_round == round) own_scale = sent;

    const float reciprocal = reciprocal_of(scale);
    float scaled[width];
#pragma unroll
    for (int i = 0; i < width; ++i) scaled[i] = x.element[i] * reciprocal;
    if (column < length) store_once(values + column, scaled);
  }
  const int64_t block = part.column / mx_block + lane;
  if (block < length / mx_block) scales[part.row * (length / mx_block) + block] = own_scale;
}

__device__ inline float to_float(float value) { return value; }
__device__ inline float to_float(__half value) { return __half2float(value); }
__device__ inline float to_float(__nv_bfloat16 value) { return __bfloat162float(value); }

template <typename T>
__global__ void __launch_bounds__(threads)
    mxfp8_by_elements(const T* __restrict__ input, int64_t rows, int64_t length, int64_t stride, int64_t per_row,
                      uint8_t* __restrict__ values, uint8_t* __restrict__ scales) {
  const Part part = Part::of_this_warp(rows, per_row);
  if (part.row >= rows) return;
  const int lane = threadIdx.x % warp_size;
  const int64_t blocks = (length + mx_block - 1) / mx_block;
  input += part.row * stride;
  values += part.row * length;
  scales += part.row * blocks;
#pragma unroll 4
  for (int i = 0; i < blocks_per_warp; ++i) {
    const int64_t column = part.column + i * mx_block + lane;
    const float x = column < length ? to_float(input[column]) : 0;
    const unsigned scale = scale_of(__float_as_uint(greatest_of_warp(fabsf(x))));
    if (column < length) {
      values[column] = e4m3(x * reciprocal_of(scale));
      if (lane == 0) scales[column / mx_block] = scale;
    }
  }
}

}  // namespace

const char* mxfp8_cuda(const Rows& input, const Quantized<uint8_t>& output, Queue queue) {
  if (input.count == 0 || input.length == 0) return nullptr;
  const OnDevice scope(queue.device);
  if (scope.error() != cudaSuccess) return message_of(scope.error());

  Rows rows = input;
  if (rows.stride == rows.length && rows.length % mx_block == 0) rows = {rows.data, rows.element, 1, rows.count * rows.length, 0};
  const int64_t per_row = (rows.length + elements_per_warp - 1) / elements_per_warp;
  const int64_t grid = (rows.count * per_row + warps - 1) / warps;
  const bool vectors = rows.length % mx_block == 0 && rows.stride * size_of(rows.element) % 16 == 0 &&
                       divides_16(rows.data) && divides_16(output.values);
  return message_of(for_element(rows.element, [&](auto* type) {
    using T = std::remove_const_t<std::remove_pointer_t<decltype(type)>>;
    const auto kernel = vectors ? mxfp8_by_vectors<T> : mxfp8_by_elements<T>;
    kernel<<<grid, threads, 0, static_cast<cudaStream_t>(queue.stream)>>>(
        static_cast<const T*>(rows.data), rows.count, rows.length, rows.stride, per_row, output.values, output.scales);
    return cudaGetLastError();
  }));
}

}  // namespace wheelfuse_reference
