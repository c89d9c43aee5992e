// RMSNorm with e4m3 quantisation on a GPU.
//
// Rows of up to 8,192 vectors of 16 bytes stay in registers from the one time they are read until they are written;
// longer rows, and rows that are not made of aligned vectors, are read three times, mostly from a cache.

#include "device.cuh"

namespace wheelfuse_reference {
namespace {

struct Arguments {
  int64_t rows, length, stride;
  double reciprocal_length, epsilon;
};

__device__ float reciprocal_root(double sum, const Arguments& arguments) {
  return 1.0f / sqrtf(static_cast<float>(sum * arguments.reciprocal_length + arguments.epsilon));
}

__device__ float scale_for(float magnitude) {
  const float scale = magnitude / 448.0f;
  return scale < smallest_scale ? smallest_scale : scale;  // NaN stays
}

// What all threads with one threadIdx.y have found, together. A row of more than one warp has the block to itself.
// The two halves take turns: between two uses of one lies a barrier of the other, so one barrier is enough.
struct Together {
  double sums[warp_size];
  float magnitudes[warp_size];

  __device__ double sum(double value) {
    value = sum_of_warp(value);
    if (blockDim.x == warp_size) return value;
    if (threadIdx.x % warp_size == 0) sums[threadIdx.x / warp_size] = value;
    __syncthreads();
    value = 0;
    for (int warp = 0; warp < blockDim.x / warp_size; ++warp) value += sums[warp];
    return value;
  }

  __device__ float greatest(float magnitude) {
    magnitude = greatest_of_warp(magnitude);
    if (blockDim.x == warp_size) return magnitude;
    if (threadIdx.x % warp_size == 0) magnitudes[threadIdx.x / warp_size] = magnitude;
    __syncthreads();
    const int lane = threadIdx.x % warp_size;
    return greatest_of_warp(lane < blockDim.x / warp_size ? magnitudes[lane] : 0);
  }
};

// A block stays for many rows. `keeping`: it keeps the weight in registers, too, and reads a row ahead.
template <typename T, int vectors, bool keeping>
__global__ void __maxnreg__(keeping ? 80 : 64)
    rows_in_registers(const T* __restrict__ input, const T* __restrict__ weight, Arguments arguments,
                      uint8_t* __restrict__ values, float* __restrict__ scales) {
  constexpr int width = per_vector<T>;
  __shared__ Together together;
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.y;
  int64_t row = static_cast<int64_t>(blockIdx.x) * blockDim.y + threadIdx.y;
  const int count = arguments.length / width;

  const auto read = [&](uint4(&into)[vectors], const T* from) {
#pragma unroll
    for (int i = 0; i < vectors; ++i) {
      const int vector = threadIdx.x + i * blockDim.x;
      into[i] = vector < count ? load_once(from + vector * width) : make_uint4(0, 0, 0, 0);
    }
  };
  uint4 kept[keeping ? vectors : 1] = {};
  const auto weight_at = [&](int i) {
    if constexpr (keeping) {
      return kept[i];
    } else {
      const int vector = threadIdx.x + i * blockDim.x;
      return vector < count ? __ldg(reinterpret_cast<const uint4*>(weight) + vector) : make_uint4(0, 0, 0, 0);
    }
  };

  uint4 ahead[vectors];
  if constexpr (keeping) {
    read(kept, weight);
    if (row < arguments.rows) read(ahead, input + row * arguments.stride);
  }
  for (; row < arguments.rows; row += step) {
    uint4 now[vectors];
    if constexpr (keeping) {
#pragma unroll
      for (int i = 0; i < vectors; ++i) now[i] = ahead[i];
      if (row + step < arguments.rows) read(ahead, input + (row + step) * arguments.stride);
    } else {
      read(now, input + row * arguments.stride);
    }

    double even = 0, odd = 0;  // two chains, for their latency
#pragma unroll
    for (int i = 0; i < vectors; ++i) {
      const Floats<T> x(now[i]);
#pragma unroll
      for (int j = 0; j < width; j += 2) {
        even += static_cast<double>(x.element[j]) * x.element[j];
        odd += static_cast<double>(x.element[j + 1]) * x.element[j + 1];
      }
    }
    const float root = reciprocal_root(together.sum(even + odd), arguments);

    float magnitude = 0;
#pragma unroll
    for (int i = 0; i < vectors; ++i) forget(now[i]);
#pragma unroll
    for (int i = 0; i < vectors; ++i) {
      const Floats<T> x(now[i]), w(weight_at(i));
#pragma unroll
      for (int j = 0; j < width; ++j) magnitude = greatest(magnitude, x.element[j] * root * w.element[j]);
    }
    const float scale = scale_for(together.greatest(magnitude));
    const float reciprocal = 1.0f / scale;

#pragma unroll
    for (int i = 0; i < vectors; ++i) forget(now[i]);
#pragma unroll
    for (int i = 0; i < vectors; ++i) {
      const Floats<T> x(now[i]), w(weight_at(i));
      float scaled[width];
#pragma unroll
      for (int j = 0; j < width; ++j) scaled[j] = x.element[j] * root * w.element[j] * reciprocal;
      const int vector = threadIdx.x + i * blockDim.x;
      if (vector < count) store_once(values + row * arguments.length + vector * width, scaled);
    }
    if (threadIdx.x == 0) scales[row] = scale;
  }
}

// One block for each row at a time, which may have any length and alignment.
template <typename T>
__global__ void __launch_bounds__(512)
    rows_in_passes(const T* __restrict__ input, const T* __restrict__ weight, Arguments arguments,
                   uint8_t* __restrict__ values, float* __restrict__ scales) {
  __shared__ Together together;
  for (int64_t row = blockIdx.x; row < arguments.rows; row += gridDim.x) {
    const T* x = input + row * arguments.stride;
    const auto each = [&](auto&& visit) {
#pragma unroll 4
      for (int64_t i = threadIdx.x; i < arguments.length; i += blockDim.x) visit(i);
    };
    double sum = 0;
    each([&](int64_t i) {
      const double element = static_cast<float>(x[i]);
      sum += element * element;
    });
    const float root = reciprocal_root(together.sum(sum), arguments);
    float magnitude = 0;
    each([&](int64_t i) { magnitude = greatest(magnitude, static_cast<float>(x[i]) * root * static_cast<float>(weight[i])); });
    const float scale = scale_for(together.greatest(magnitude));
    const float reciprocal = 1.0f / scale;
    each([&](int64_t i) {
      values[row * arguments.length + i] = e4m3(static_cast<float>(x[i]) * root * static_cast<float>(weight[i]) * reciprocal);
    });
    if (threadIdx.x == 0) scales[row] = scale;
  }
}

// As many blocks as the device runs at once, or as there are rows for.
template <typename Kernel>
cudaError_t persistent_grid(Kernel kernel, dim3 block, int64_t rows, int device, dim3* grid) {
  int processors = 0, resident = 0;
  cudaError_t error = cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device);
  if (error != cudaSuccess) return error;
  error = cudaOccupancyMaxActiveBlocksPerMultiprocessor(&resident, kernel, block.x * block.y, 0);
  const int64_t needed = (rows + block.y - 1) / block.y;
  *grid = dim3(static_cast<unsigned>(std::min<int64_t>(needed, static_cast<int64_t>(processors) * resident)));
  return error;
}

// The kernel for rows of so many vectors, and its block: one warp for each row where that is enough.
template <typename T>
auto choose(int64_t count, dim3* block) {
  const int vectors = count <= 32 ? 1 : count <= 64 ? 2 : count <= 4 * 512 ? 4 : 8;
  const int warps = static_cast<int>((count + vectors * warp_size - 1) / (vectors * warp_size));
  *block = warps == 1 ? dim3(warp_size, 4) : dim3(warps * warp_size);
  return vectors == 1   ? rows_in_registers<T, 1, true>
         : vectors == 2 ? rows_in_registers<T, 2, true>
         : vectors == 4 ? rows_in_registers<T, 4, true>
                        : rows_in_registers<T, 8, false>;
}

}  // namespace

const char* rms_norm_fp8_cuda(const Rows& input, const void* weight, double epsilon, const Quantized<float>& output,
                              Queue queue) {
  if (input.count == 0) return nullptr;
  const OnDevice scope(queue.device);
  if (scope.error() != cudaSuccess) return message_of(scope.error());

  const Arguments arguments{input.count, input.length, input.stride, input.length ? 1.0 / input.length : 0, epsilon};
  const int64_t bytes = input.length * size_of(input.element);
  const bool vectors = bytes % 16 == 0 && bytes <= 16 * 8 * 1024 && bytes > 0 &&
                       input.stride * size_of(input.element) % 16 == 0 && divides_16(input.data) &&
                       divides_16(weight) && divides_16(output.values);
  return message_of(for_element(input.element, [&](auto* type) {
    using T = std::remove_const_t<std::remove_pointer_t<decltype(type)>>;
    dim3 block(512), grid;
    auto* kernel = vectors ? choose<T>(bytes / 16, &block) : rows_in_passes<T>;
    const cudaError_t error = persistent_grid(kernel, block, input.count, queue.device, &grid);
    if (error != cudaSuccess) return error;
    kernel<<<grid, block, 0, static_cast<cudaStream_t>(queue.stream)>>>(
        static_cast<const T*>(input.data), static_cast<const T*>(weight), arguments, output.values, output.scales);
    return cudaGetLastError();
  }));
}

}  // namespace wheelfuse_reference
